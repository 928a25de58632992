import type { Database } from '../../db/client';
import type { IdentityProvider } from '../auth/identity';
import type { Blobstore } from '../blobstore/blobstore';
import type { Clock } from '../core/clock';
import type { Log } from '../core/log';
import type { VariableBackend } from '../variables/backend';

/** What the REST API needs from the composition root. */
export interface ApiDeps {
  db: Database;
  blobstore: Blobstore;
  identity: IdentityProvider;
  clock: Clock;
  log: Log;
  variables: VariableBackend;
  director: DirectorFacts;
  /** Told of errors that nobody expected. */
  onException?: (error: unknown) => void;
  /** Whether scan-and-fix also recreates VMs with persistent disks; BOSH's default is true. */
  autoFixStatefulNodes?: boolean;
}

/** Facts of the installation that the API tells. */
export interface DirectorFacts {
  name: string;
  uuid: string;
  /** Without revision, e.g. `0.1.0`. */
  version: string;
  /** Commit, eight characters. */
  revision: string;
  /** Name of the CPI as `bosh env` shows it. */
  cpi: string;
  localDns: { enabled: boolean; domain: string };
  /** Values of variables are kept somewhere; `url`: of the config server, when it is one. */
  configServer?: { url?: string | undefined } | undefined;
  /** Certificates whose expiry operators watch: BOSH's name and the PEM; several in one PEM count as the first. */
  certificates: readonly { name: string; pem: string }[];
}
