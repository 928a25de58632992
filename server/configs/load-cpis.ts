import type { Db } from '../../db/client';
import type { ConfiguredCpi } from '../cpi/configured';
import { parseCpiConfigs } from './cpi-config';
import { parseConfigContent } from './parse';
import { listConfigs } from './store';

/** The CPIs of the current CPI configs; undefined without any. Throws as `parseCpiConfigs`. */
export async function loadCpis(db: Db): Promise<ConfiguredCpi[] | undefined> {
  const configs = await listConfigs(db, { type: 'cpi', versions: 1 });
  return parseCpiConfigs(configs.map(({ content }) => parseConfigContent(content)));
}
