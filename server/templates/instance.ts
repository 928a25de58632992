import { createHash } from 'node:crypto';
import type { RenderedFile, RenderedJob } from './render-job';

/**
 * An instance's rendered jobs as the director records and delivers them. No I/O.
 * Hashes: cloudfoundry/bosh src/bosh-director/lib/bosh/director/core/templates (rendered_job_instance.rb, rendered_job_template.rb).
 */

/** A link that a job of the instance group provides, as `.bosh/links.json` tells the agent. */
export interface ProvidedLink {
  /** Alias under which it is provided. */
  name: string;
  type: string;
  /** Id of the link's DNS group. */
  group: string;
}

/** A file of the archive; `path` is relative to the archive's root. */
export interface ArchiveEntry {
  path: string;
  content: Buffer;
}

const linksPath = '.bosh/links.json';

/** The job with its `.bosh/links.json`; that file takes part in the hashes. To be done once per rendered job. */
export function withLinksFile(job: RenderedJob, provided: readonly ProvidedLink[]): RenderedJob {
  const sorted = [...provided].sort((a, b) => compareBytes(a.group, b.group)).map(({ name, type, group }) => ({ name, type, group }));
  const file: RenderedFile = { src: linksPath, dest: linksPath, content: Buffer.from(`${JSON.stringify(sorted, null, 2)}\n`) };
  return { ...job, files: [...job.files, file] };
}

/** SHA1 (hex) over all jobs' names, contents and destinations: a change of it means that the instance must be updated. */
export function configurationHash(jobs: readonly RenderedJob[]): string {
  const hash = createHash('sha1');
  for (const { jobName, monit, files } of [...jobs].sort((a, b) => compareBytes(a.jobName, b.jobName))) {
    hash.update(monit).update(jobName);
    for (const { content, dest } of bySource(files)) hash.update(content).update(dest);
  }
  return hash.digest('hex');
}

/** Job name to SHA1 (hex) over the contents of its files, as the apply spec carries it. */
export function templateHashes(jobs: readonly RenderedJob[]): Record<string, string> {
  return Object.fromEntries(jobs.map(({ jobName, monit, files }) => {
    const hash = createHash('sha1').update(monit);
    for (const { content } of bySource(files)) hash.update(content);
    return [jobName, hash.digest('hex')];
  }));
}

/** Files of the instance's archive: `<job>/monit` and `<job>/<dest>`, in job and template order. */
export function archiveEntries(jobs: readonly RenderedJob[]): ArchiveEntry[] {
  return jobs.flatMap(({ jobName, monit, files }) => [
    { path: `${jobName}/monit`, content: monit },
    ...files.map(({ dest, content }) => ({ path: `${jobName}/${dest}`, content })),
  ]);
}

function bySource(files: RenderedJob['files']): RenderedJob['files'] {
  return [...files].sort((a, b) => compareBytes(a.src, b.src));
}

/** Ruby's order of strings. */
function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
