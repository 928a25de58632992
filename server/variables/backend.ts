/**
 * Where the values of variables are kept: the built-in store or a config server (CredHub). Names are absolute.
 * Values never go to logs, errors, events or records.
 */
export interface VariableBackend {
  /** The newest version of a name. Throws 540002 when there is none, 540001 when it cannot be had. */
  latest(name: string): Promise<VariableVersion>;
  /** One version by its id; `name` is for the message. Throws as `latest`. */
  version(id: string, name: string): Promise<VariableVersion>;
  /** The version that results: an existing one or a new one, as `mode` says. Throws 540005. */
  generate(order: GenerateOrder): Promise<VariableVersion>;
}

export interface VariableVersion {
  id: string;
  value: unknown;
}

/** `no-overwrite`: what there is stays; `converge`: a new one when the parameters changed; `overwrite`: always a new one. */
export const generateModes = ['no-overwrite', 'converge', 'overwrite'] as const;
export type GenerateMode = (typeof generateModes)[number];

export interface GenerateOrder {
  name: string;
  type: string;
  parameters: Record<string, unknown>;
  mode: GenerateMode;
}
