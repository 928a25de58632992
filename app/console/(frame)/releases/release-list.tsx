'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { ChevronRight } from 'lucide-react';
import { Fragment, useState } from 'react';
import { useTRPC, type Outputs } from '../../_ui/api';
import { Empty, Loaded } from '../../_ui/states';
import { Ago } from '../../_ui/time';
import { UsedBy } from '../../_ui/used-by';
import { useRows } from '../../_ui/use-rows';

type Version = Outputs['artifacts']['releases'][number];

/** Every version of every release; a row opens to its jobs and packages. */
export function ReleaseList() {
  const trpc = useTRPC();
  const query = useQuery(trpc.artifacts.releases.queryOptions(undefined, { refetchInterval: 5_000, placeholderData: keepPreviousData }));
  return (
    <div className="panel overflow-x-auto">
      <Loaded query={query}>{(versions) => (versions.length === 0 ? <Empty title="No releases yet">Upload one with <code className="mono">bosh upload-release release.tgz</code>.</Empty> : <Table versions={versions} />)}</Loaded>
    </div>
  );
}

function Table({ versions }: { versions: Version[] }) {
  const rows = useRows<HTMLTableSectionElement>();
  const [open, setOpen] = useState<string>();
  return (
    <table className="table min-w-[760px]">
      <thead>
        <tr>
          <th scope="col" aria-sort="ascending">Name</th>
          <th scope="col">Version</th>
          <th scope="col" className="num">Jobs</th>
          <th scope="col" className="num">Packages</th>
          <th scope="col">Used by</th>
          <th scope="col">Commit</th>
          <th scope="col">Uploaded</th>
        </tr>
      </thead>
      <tbody ref={rows}>
        {versions.map((version, index) => {
          const key = `${version.name}/${version.version}`;
          const first = versions[index - 1]?.name !== version.name;
          return (
            <Fragment key={key}>
              <tr className="cursor-pointer" onClick={() => setOpen(open === key ? undefined : key)}>
                <td>
                  <button type="button" data-row aria-expanded={open === key} className="flex items-center gap-1.5 text-left" onClick={(event) => { event.stopPropagation(); setOpen(open === key ? undefined : key); }}>
                    <ChevronRight aria-hidden size={13} className={`shrink-0 text-faint transition-transform duration-150 ${open === key ? 'rotate-90' : ''}`} />
                    <span className={first ? 'font-medium' : 'text-faint'}>{version.name}</span>
                  </button>
                </td>
                <td className="mono">{version.version}</td>
                <td className="num">{version.jobs.length}</td>
                <td className="num">{version.packages.length}</td>
                <td><UsedBy deployments={version.usedBy} /></td>
                <td className="mono text-soft">{version.commitHash}{version.uncommittedChanges && <span title="with uncommitted changes">+</span>}</td>
                <td className="text-soft"><Ago at={version.createdAt} /></td>
              </tr>
              {open === key && <Parts version={version} />}
            </Fragment>
          );
        })}
      </tbody>
    </table>
  );
}

function Parts({ version }: { version: Version }) {
  return (
    <tr>
      <td colSpan={7} className="bg-page py-3">
        <div className="grid gap-x-10 gap-y-3 pl-[19px] md:grid-cols-2">
          <div>
            <h3 className="heading">Jobs</h3>
            <p className="mono leading-6">{version.jobs.join('  ') || '–'}</p>
          </div>
          <div>
            <h3 className="heading">Packages</h3>
            <ul>
              {version.packages.map((one) => (
                <li key={one.name} className="flex gap-3 leading-6">
                  <span className="mono">{one.name}</span>
                  <span className="text-faint">{one.compiledFor.length === 0 ? 'not compiled' : `compiled for ${one.compiledFor.join(', ')}`}</span>
                </li>
              ))}
            </ul>
          </div>
        </div>
      </td>
    </tr>
  );
}
