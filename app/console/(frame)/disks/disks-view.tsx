'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTRPC } from '../../_ui/api';
import { Section } from '../../_ui/page-header';
import { Empty, Loaded } from '../../_ui/states';
import { DiskTable } from './disk-table';
import { LeakList } from './leak-list';
import { OrphanTable } from './orphan-table';

/** Persistent disks: what may be lost first, then those of instances, then those that nobody has any more. */
export function DisksView() {
  const trpc = useTRPC();
  const query = useQuery(trpc.disks.list.queryOptions(undefined, { refetchInterval: 5_000, placeholderData: keepPreviousData }));
  return (
    <Loaded query={query}>
      {({ disks, orphans, leaks }) => (
        <>
          {leaks.length > 0 && (
            <Section title="Possibly left in the cloud">
              <LeakList leaks={leaks} />
            </Section>
          )}
          <Section title="Of instances">
            <div className="panel overflow-x-auto">
              {disks.length === 0 ? <Empty title="No disks yet">Instance groups with <code className="mono">persistent_disk</code> get them when they are deployed.</Empty> : <DiskTable disks={disks} />}
            </div>
          </Section>
          <Section title="Orphans">
            <div className="panel overflow-x-auto">
              {orphans.length === 0 ? <Empty title="No orphans">Disks that an instance does not need any more stay here for some days.</Empty> : <OrphanTable orphans={orphans} />}
            </div>
          </Section>
        </>
      )}
    </Loaded>
  );
}
