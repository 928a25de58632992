'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { LoaderCircle } from 'lucide-react';
import { useTRPC } from '../../_ui/api';
import { ShortId } from '../../_ui/short-id';
import { Empty, Loaded } from '../../_ui/states';
import { Status } from '../../_ui/status';
import { Ago } from '../../_ui/time';
import { UsedBy } from '../../_ui/used-by';
import { useRows } from '../../_ui/use-rows';

/** Every stemcell of every CPI. */
export function StemcellList() {
  const trpc = useTRPC();
  const rows = useRows<HTMLTableSectionElement>();
  const query = useQuery(trpc.artifacts.stemcells.queryOptions(undefined, { refetchInterval: 5_000, placeholderData: keepPreviousData }));
  return (
    <div className="panel overflow-x-auto">
      <Loaded query={query}>
        {(stemcells) =>
          stemcells.length === 0 ? (
            <Empty title="No stemcells yet">Upload one with <code className="mono">bosh upload-stemcell stemcell.tgz</code>.</Empty>
          ) : (
            <table className="table min-w-[760px]">
              <thead>
                <tr>
                  <th scope="col" aria-sort="ascending">Name</th>
                  <th scope="col">Version</th>
                  <th scope="col">System</th>
                  <th scope="col">CPI</th>
                  <th scope="col" className="num">API</th>
                  <th scope="col">CID</th>
                  <th scope="col">Used by</th>
                  <th scope="col">Uploaded</th>
                </tr>
              </thead>
              <tbody ref={rows}>
                {stemcells.map((one) => (
                  <tr key={`${one.name}/${one.version}/${one.cpi}`} data-row tabIndex={0}>
                    <td className="font-medium">{one.name}</td>
                    <td className="mono">{one.version}</td>
                    <td>{one.operatingSystem}</td>
                    <td>{one.cpi || <span className="text-faint">default</span>}</td>
                    <td className="num">{one.apiVersion ?? <span className="text-faint">–</span>}</td>
                    <td>{one.cid === undefined ? <Status look={{ icon: LoaderCircle, word: 'uploading', tone: 'work', spins: true }} /> : <ShortId id={one.cid} />}</td>
                    <td><UsedBy deployments={one.usedBy} /></td>
                    <td className="text-soft"><Ago at={one.createdAt} /></td>
                  </tr>
                ))}
              </tbody>
            </table>
          )
        }
      </Loaded>
    </div>
  );
}
