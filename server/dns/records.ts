import { findCanonicalName } from './names';

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
  /** Groups of the links that the instance provides, sorted. */
  links: readonly string[];
}

/** Numbers that stand for names inside short DNS names. */
export interface NameIds {
  az(name: string): number;
  network(name: string): number;
  /** Of all groups that the instance of a record belongs to: its instance group, then its links. */
  groups(record: DnsRecord): readonly number[];
}

/** Who answers to an alias. */
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
  /** Instances have a second name, by their index. */
  includeIndex: boolean;
}

const recordKeys = ['id', 'num_id', 'instance_group', 'group_ids', 'az', 'az_id', 'network', 'network_id', 'deployment', 'ip', 'domain', 'agent_id', 'instance_index'] as const;

/** Records per piece of the text: small enough that other work gets its turn between two pieces. */
const pieceSize = 250;

/** The blob's JSON text in pieces; the same contents give the same bytes. Records whose names cannot stand in DNS are left out. */
export function* dnsBlobText({ version, records, ids, aliases, includeIndex }: DnsContents): Generator<string> {
  const labelsOf = dnsLabels();
  const named = records.flatMap((record) => {
    const labels = labelsOf(record);
    return labels ? [{ record, labels }] : [];
  });
  const hosts = includeIndex ? named.flatMap(({ record, labels }) => [record.instanceUuid, record.instanceIndex].map((host) => ({ record, labels, host }))) : named.map(({ record, labels }) => ({ record, labels, host: record.instanceUuid }));
  yield '{"records":';
  yield* listText(hosts, ({ record, labels, host }) => [record.ip, [host, labels.group, labels.network, labels.deployment, record.domain].join('.')]);
  yield `,"version":${version},"record_keys":${JSON.stringify(recordKeys)},"record_infos":`;
  yield* listText(named, ({ record, labels }) => infoOf(record, labels, ids));
  yield `,"aliases":${JSON.stringify(aliases)}}`;
}

function infoOf(record: DnsRecord, labels: Labels, ids: NameIds): unknown[] {
  return [
    record.instanceUuid, String(record.instanceId), labels.group, ids.groups(record).map(String), record.az, record.az === null ? null : String(ids.az(record.az)), labels.network, String(ids.network(record.network)),
    labels.deployment, record.ip, record.domain, record.agentId, record.instanceIndex,
  ];
}

function* listText<T>(items: readonly T[], valueOf: (item: T) => unknown): Generator<string> {
  yield '[';
  for (let at = 0; at < items.length; at += pieceSize) {
    yield (at === 0 ? '' : ',') + items.slice(at, at + pieceSize).map((item) => JSON.stringify(valueOf(item))).join(',');
  }
  yield ']';
}

/** Names as labels of DNS. */
type Labels = Record<'group' | 'network' | 'deployment', string>;

/** The labels of a record; undefined for what DNS cannot express. */
function dnsLabels(): (record: DnsRecord) => Labels | undefined {
  const known = new Map<string, string>();
  const labelOf = (name: string): string => {
    const label = known.get(name) ?? findCanonicalName(name) ?? '';
    known.set(name, label);
    return label;
  };
  return (record) => {
    const labels = { group: labelOf(record.group), network: labelOf(record.network), deployment: labelOf(record.deployment) };
    return Object.values(labels).includes('') ? undefined : labels;
  };
}
