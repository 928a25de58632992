import type { GenerateMode } from '../variables/backend';
import type { Hash } from '../core/yaml';
import type { VariableDefinition } from '../variables/definitions';

/** Dotted paths, never values. A document that is not listed is compared as it stands. */
export interface ResolvedDifferences {
  cloudProperties?: readonly string[];
  networks?: readonly string[];
  /** By name of the disk. */
  disks?: ReadonlyMap<string, readonly string[]>;
}

/** A variable that a deploy generates. */
export interface PlannedVariable {
  /** Absolute. */
  name: string;
  type: string;
  /** With their placeholders. */
  options: Hash;
  /** CredHub's generation mode, as the variable or the deployment says. */
  mode: GenerateMode;
  strategy: VariableDefinition['strategy'];
  /** DNS names of consumed links, for certificates. */
  addresses: readonly { as: 'alternative_name' | 'common_name'; address: string }[];
}
