import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import type { AgentSpec } from '../cpi/records';
import { stemcellFormat } from '../cpi/methods';
import { agentSpecFile } from '../cpi/stemcells';
import { packTgz, type TarEntry } from './tarball';

export interface SampleStemcell {
  name: string;
  version: string;
  operatingSystem: string;
  tarball: Buffer;
}

export interface SampleStemcellOptions {
  name?: string;
  version?: string;
  operatingSystem?: string;
  /** Which agent its VMs run; the TypeScript agent unless given. */
  agent?: AgentSpec;
  /** More files of the image, e.g. the executable that an `exec` agent names. */
  files?: TarEntry[];
}

/** Builds a stemcell for the local cloud, the same bytes every time for the same options (https://bosh.io/docs/build-stemcell/). */
export async function buildLocalStemcell(options: SampleStemcellOptions = {}): Promise<SampleStemcell> {
  const { name = 'directorate-local', version = '1.0', operatingSystem = 'local-linux', agent = { agent: 'directorate' } } = options;
  const image = await packTgz([{ name: agentSpecFile, content: `${JSON.stringify(agent)}\n` }, ...(options.files ?? [])]);
  const manifest = {
    name,
    version,
    bosh_protocol: '1',
    api_version: 3,
    sha1: createHash('sha1').update(image).digest('hex'),
    operating_system: operatingSystem,
    stemcell_formats: [stemcellFormat],
    cloud_properties: { name, version, infrastructure: 'local' },
  };
  const tarball = await packTgz([
    { name: 'stemcell.MF', content: stringify(manifest) },
    { name: 'image', content: image },
  ]);
  return { name, version, operatingSystem, tarball };
}
