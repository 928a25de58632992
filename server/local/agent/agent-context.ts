import type { Log } from '../../core/log';
import type { ApplySpec } from './apply-spec';
import type { BlobSource } from './blobs/blobstore';
import type { Installer } from './install';
import type { JobSupervisor } from './monit/job-supervisor';
import type { BlobstoreSettings } from './settings';
import type { SettingsStore } from './settings-store';

/** What the actions of an agent work with. */
export interface AgentContext {
  /** Base directory, `/var/vcap` inside a VM. */
  base: string;
  log: Log;
  settings: SettingsStore;
  specs: SpecStore;
  blobs: BlobSource;
  /** The blobstore that is in force. */
  blobSettings(): BlobstoreSettings;
  installer: Installer;
  jobs: JobSupervisor;
  /** Environment of everything that the agent runs. */
  env: Record<string, string>;
  /** Publishes for the health monitor. */
  publish(subject: string, payload: string): void;
  /** Connects again with the present settings; resolves when connected. */
  reconnect(): Promise<void>;
  /** Ends the agent once its answer is sent; the VM is then off. */
  powerOff(): void;
}

/** The spec that was applied last. */
export interface SpecStore {
  current(): ApplySpec;
  save(spec: ApplySpec): Promise<void>;
}
