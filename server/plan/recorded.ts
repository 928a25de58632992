import type { VmStrategy } from '../deployments/manifest';
import type { NetworkSettings } from '../instances/instance';

/** Parts of what planning reads (`RecordedState`). */

/** One row of ip_addresses that belongs to an instance. */
export interface RecordedReservation {
  /** CIDR text, e.g. `10.0.0.5/32`. */
  address: string;
  network: string;
  static: boolean;
  nicGroup?: number;
  /** The VM that uses it; undefined while only the instance holds it. */
  vmId?: number;
}

/** Answer of an agent to `get_state`, or the fact that it gave none (only with `fix`). */
export interface AgentState {
  /** `running`, `failing`, `stopped`, …; `unresponsive` when the agent gave no answer. */
  jobState: string;
  networks?: Record<string, NetworkSettings>;
  /** It gave no answer and is taken to be as recorded: only in plans that nobody carries out. */
  silent?: true;
}

/** A stemcell as one CPI knows it. */
export interface StemcellRecord {
  id: number;
  name: string;
  os: string;
  version: string;
  apiVersion: number | null;
  /** Empty for the director's own CPI. */
  cpi: string;
  cid: string;
}

/** The instance that has an address. */
export interface AddressOwner {
  deployment: string;
  group: string;
  uuid: string;
}

/** What the director is, as far as plans depend on it. */
export interface DirectorFacts {
  name: string;
  /** Root of DNS names, `bosh` by default. */
  dnsDomain: string;
  /** Agents are told DNS records; without them no address is a name. */
  localDns: boolean;
  /** Deployments that do not say it themselves have DNS names as addresses. */
  useDnsAddresses: boolean;
  /** Of `update` blocks that do not say; by default `delete-create`. */
  defaultVmStrategy?: VmStrategy;
  trustedCertsSha1: string;
  natsConfigSha1: string;
  blobstoreConfigSha1: string;
  /** Addresses of the director's nodes: never given to an instance. */
  ownAddresses: readonly string[];
  /** Manual networks may lack gateways. */
  ignoreMissingGateway?: boolean;
  /** Networks with `managed` are made and deleted through CPIs. */
  manageNetworks?: boolean;
}
