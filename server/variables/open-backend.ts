import type { Database } from '../../db/client';
import type { Config } from '../core/config';
import type { VariableBackend } from './backend';
import { createBuiltInBackend } from './built-in';
import { createConfigServerBackend } from './config-server';
import { disabledBackend } from './disabled';
import { readSealingKey } from './seal';

/** The backend that the configuration names; without one every use of a variable is refused (540009). Throws for a key that is none. */
export function createVariableBackend(db: Database, config: Pick<Config, 'variables' | 'config_server'>): VariableBackend {
  if (config.config_server) {
    const { url, ca, uaa } = config.config_server;
    return createConfigServerBackend({ url, ca, uaa: { url: uaa.url, clientId: uaa.client_id, clientSecret: uaa.client_secret, ca: uaa.ca } });
  }
  const [first, ...others] = (config.variables?.encryption_keys ?? []).map(readSealingKey);
  return first ? createBuiltInBackend({ db, keys: [first, ...others] }) : disabledBackend;
}
