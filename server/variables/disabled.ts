import { code, DirectorError } from '../core/errors';
import type { VariableBackend } from './backend';

const reason = 'Director is not configured with a config server';

/** Variables of a director that has neither a store for them nor a config server: each use is refused (540009). */
export const disabledBackend: VariableBackend = {
  latest: async (name) => refuse(`Failed to fetch variable '${name}' from config server: ${reason}`),
  version: async (id) => refuse(`Failed to fetch variable with id '${id}' from config server: ${reason}`),
  generate: async ({ name }) => refuse(`Failed to generate variable '${name}' from config server: ${reason}`),
};

function refuse(message: string): never {
  throw new DirectorError(code.configServerDisabled, message);
}
