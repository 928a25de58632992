import { canonicalName } from '../core/names';

/**
 * The records that agents serve, as a blob. Names and shape of the blob: cloudfoundry/bosh
 * src/bosh-director/lib/bosh/director/dns/{dns_records,dns_name_generator}.rb.
 */

/** One address of an instance in one network. */
export interface DnsRecord {
  instanceId: number;
  instanceUuid: string;
  instanceIndex: number;
  group: string;
  az: string | null;
  network: string;
  deployment: string;
  ip: string;
  agentId: string;
  /** Top-level domain. */
  domain: string;
}

/** Numbers that stand for names inside short DNS names. */
export interface NameIds {
  az(name: string): number;
  network(name: string): number;
  /** Of all groups that the instance of a record belongs to, ascending. */
  groups(record: DnsRecord): readonly number[];
}

/** A name that every instance of a group answers to. */
export interface AliasTarget {
  root_domain: string;
  group_id: string;
  health_filter: string | null;
  initial_health_check: string | null;
  placeholder_type: string | null;
}

export interface DnsContents {
  version: number;
  /** In the order in which the blob lists them. */
  records: readonly DnsRecord[];
  ids: NameIds;
  aliases: Readonly<Record<string, readonly AliasTarget[]>>;
}

const recordKeys = ['id', 'num_id', 'instance_group', 'group_ids', 'az', 'az_id', 'network', 'network_id', 'deployment', 'ip', 'domain', 'agent_id', 'instance_index'] as const;

/** Records per piece of the text: small enough that other work gets its turn between two pieces. */
const pieceSize = 250;

/** The blob's JSON text in pieces; the same contents give the same bytes. Records whose names cannot stand in DNS are left out. */
export function* dnsBlobText({ version, records, ids, aliases }: DnsContents): Generator<string> {
  const hostOf = hostNames();
  const named = records.flatMap((record) => {
    const host = hostOf(record);
    return host === undefined ? [] : [{ record, host }];
  });
  yield '{"records":';
  yield* listText(named, ({ record, host }) => [record.ip, host]);
  yield `,"version":${version},"record_keys":${JSON.stringify(recordKeys)},"record_infos":`;
  yield* listText(named, ({ record }) => infoOf(record, ids));
  yield `,"aliases":${JSON.stringify(aliases)}}`;
}

function infoOf(record: DnsRecord, ids: NameIds): unknown[] {
  return [
    record.instanceUuid, String(record.instanceId), record.group, ids.groups(record).map(String), record.az, record.az === null ? null : String(ids.az(record.az)), record.network, String(ids.network(record.network)),
    record.deployment, record.ip, record.domain, record.agentId, record.instanceIndex,
  ];
}

function* listText<T>(items: readonly T[], valueOf: (item: T) => unknown): Generator<string> {
  yield '[';
  for (let at = 0; at < items.length; at += pieceSize) {
    yield (at === 0 ? '' : ',') + items.slice(at, at + pieceSize).map((item) => JSON.stringify(valueOf(item))).join(',');
  }
  yield ']';
}

/** Names `<uuid>.<group>.<network>.<deployment>.<domain>`; undefined for what DNS cannot express. */
function hostNames(): (record: DnsRecord) => string | undefined {
  const labels = new Map<string, string>();
  const labelOf = (name: string): string => {
    const label = labels.get(name) ?? labelOr(name, '');
    labels.set(name, label);
    return label;
  };
  return ({ instanceUuid, group, network, deployment, domain }) => {
    const middle = [labelOf(group), labelOf(network), labelOf(deployment)];
    return middle.includes('') ? undefined : `${instanceUuid}.${middle.join('.')}.${domain}`;
  };
}

function labelOr(name: string, instead: string): string {
  try {
    return canonicalName(name);
  } catch {
    return instead;
  }
}
