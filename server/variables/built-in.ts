import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Database, Db } from '../../db/client';
import { code, DirectorError } from '../core/errors';
import type { GenerateMode, GenerateOrder, VariableBackend, VariableVersion } from './backend';
import type { CertificateValue } from './certificate';
import { generateValue } from './generate';
import { open, reseal, seal, type SealingKey } from './seal';
import { findLatestVersion, findVersion, insertVersion, listVersionsUnderOtherKeys, lockName, replaceSealed, type StoredVersion } from './store';
import { z } from 'zod';

export interface BuiltInOptions {
  db: Database;
  /** The first one seals; all of them open. */
  keys: readonly [SealingKey, ...SealingKey[]];
}

export interface BuiltInBackend extends VariableBackend {
  /** Stores a value that was not generated, as `credhub set` does. */
  put(name: string, value: unknown): Promise<VariableVersion>;
}

/** The store of variables in the director's own database: the same behaviour as a config server's, without one. */
export function createBuiltInBackend({ db, keys }: BuiltInOptions): BuiltInBackend {
  const contentOf = (stored: StoredVersion) => content.parse(open(stored.sealed, stored.id, keys));
  const opened = (stored: StoredVersion): VariableVersion => ({ id: stored.id, value: contentOf(stored).value });
  const findCertificate = async (name: string) => {
    const stored = await findLatestVersion(db, name);
    return stored?.type === 'certificate' ? certificateValue.parse(opened(stored).value) : undefined;
  };
  /** Whether the present version is what the order asks for. */
  const keeps = (present: StoredVersion, { mode, type, parameters }: GenerateOrder): boolean => {
    switch (mode) {
      case 'no-overwrite': return true;
      case 'converge': return present.type === type && isDeepStrictEqual(contentOf(present).parameters, parameters);
      case 'overwrite': return false;
    }
  };
  const insert = async (tx: Db, order: Omit<GenerateOrder, 'mode'>, value: unknown): Promise<VariableVersion> => {
    const id = randomUUID();
    await insertVersion(tx, { id, name: order.name, type: order.type, sealed: seal({ value, parameters: order.parameters }, id, keys[0]) });
    return { id, value };
  };
  return {
    put: (name, value) => insert(db, { name, type: 'value', parameters: {} }, value),
    latest: async (name) => opened((await findLatestVersion(db, name)) ?? missing(name)),
    version: async (id, name) => opened((await findVersion(db, id)) ?? missing(name, id)),
    generate: async (order) => {
      const present = await findLatestVersion(db, order.name);
      if (present && keeps(present, order)) return opened(present);
      // Made outside the transaction: keys take their time. Whoever is second takes the first one's.
      const value = await generateValue(order.name, order.type, order.parameters, findCertificate);
      return db.transaction(async (tx) => {
        await lockName(tx, order.name);
        const now = await findLatestVersion(tx, order.name);
        if (now && now.id !== present?.id && keeps(now, { ...order, mode: raced(order.mode) })) return opened(now);
        return insert(tx, order, value);
      });
    },
  };
}

/** What is sealed: parameters may be secret, too. */
const content = z.object({ value: z.unknown(), parameters: z.record(z.string(), z.unknown()) });

const certificateValue: z.ZodType<CertificateValue> = z.object({ ca: z.string(), certificate: z.string(), private_key: z.string() });

/** Two that overwrite at once make one new version between them. */
function raced(mode: GenerateMode): GenerateMode {
  return mode === 'overwrite' ? 'converge' : mode;
}

function missing(name: string, id?: string): never {
  throw new DirectorError(code.configServerMissingName, `Failed to find variable '${name}'${id === undefined ? '' : ` with id '${id}'`} from config server: it does not exist. Add it to 'variables' in the manifest`);
}

/** Encrypts everything with the first key that is not; safe to repeat and to cut short. Returns how many were left over from `limit`. */
export async function resealAll({ db, keys }: BuiltInOptions, limit = 500): Promise<number> {
  const others = await listVersionsUnderOtherKeys(db, keys[0].id, limit);
  for (const { id, sealed } of others) {
    const moved = reseal(sealed, id, keys, keys[0]);
    if (moved) await replaceSealed(db, id, sealed, moved);
  }
  return others.length;
}
