import Link from 'next/link';

/** Deployments that use something. */
export function UsedBy({ deployments }: { deployments: string[] }) {
  if (deployments.length === 0) return <span className="text-faint">not used</span>;
  return (
    <>
      {deployments.map((name, index) => (
        <span key={name}>
          {index > 0 && ', '}
          <Link className="link" href={`/console/deployments/${encodeURIComponent(name)}`}>
            {name}
          </Link>
        </span>
      ))}
    </>
  );
}
