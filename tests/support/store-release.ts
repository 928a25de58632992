import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { packTgz, type TarEntry } from '../../server/local/samples/tarball';

/**
 * A release with the parts of the deployment model that `hello` has not: the job `store` keeps a file on its persistent disk and provides
 * a link, the job `client` consumes it; both show the SHA-256 of a password that a variable gives.
 */
export async function storeRelease(): Promise<Buffer> {
  const jobs = await Promise.all(
    [
      { name: 'store', extra: { provides: [{ name: 'store', type: 'key-value', properties: ['port'] }] }, files: storeFiles },
      { name: 'client', extra: { consumes: [{ name: 'store', type: 'key-value' }] }, files: clientFiles },
    ].map(async ({ name, extra, files }) => {
      const manifest = { name, packages: [], ...extra, properties: { port: { description: 'port of the server' }, node: { description: 'path of the Node.js executable' }, password: { description: 'shared by all jobs' } }, templates: templatesOf(files) };
      return entry(name, await packTgz([{ name: 'job.MF', content: stringify(manifest) }, { name: 'monit', content: monit(name) }, ...files]));
    }),
  );
  const manifest = { name: 'store', version: '1', commit_hash: '0000000', uncommitted_changes: false, jobs: jobs.map(({ content: _content, ...rest }) => ({ ...rest, packages: [] })), packages: [] };
  return packTgz([{ name: 'release.MF', content: stringify(manifest) }, ...jobs.map(({ name, content }) => ({ name: `jobs/${name}.tgz`, content }))]);
}

function entry(name: string, content: Buffer) {
  const digest = createHash('sha256').update(content).digest('hex');
  return { name, version: digest, fingerprint: digest, sha1: `sha256:${digest}`, content };
}

function templatesOf(files: readonly TarEntry[]): Record<string, string> {
  return Object.fromEntries(files.map(({ name }) => [name.replace('templates/', ''), name.endsWith('config.json.erb') ? 'config/config.json' : `bin/${name.replace('templates/', '').replace('.erb', '')}`]));
}

const monit = (name: string) => `check process ${name}
  with pidfile /var/vcap/sys/run/${name}.pid
  start program "/var/vcap/jobs/${name}/bin/ctl start"
  stop program "/var/vcap/jobs/${name}/bin/ctl stop"
  group vcap
`;

/** Starts and stops a server that answers with its configuration and with what lies in `born`. */
const ctl = (name: string, born: string) => `#!/bin/bash
set -eu
pidfile=/var/vcap/sys/run/${name}.pid
case $1 in
  start)
    mkdir -p /var/vcap/sys/run
    <%= p('node') %> -e '
      const { readFileSync, existsSync } = require("node:fs");
      const config = JSON.parse(readFileSync("/var/vcap/jobs/${name}/config/config.json", "utf8"));
      require("node:http").createServer((request, response) => response.end(JSON.stringify({ ...config, born: existsSync("${born}") ? readFileSync("${born}", "utf8").trim() : null }))).listen(Number(config.port), config.ip);
    ' > /dev/null 2>&1 &
    echo $! > $pidfile
    ;;
  stop)
    kill "$(cat $pidfile)" || true
    rm -f $pidfile
    ;;
esac
`;

const config = (extra: string) => `<%=
  require 'json'
  require 'digest'
  config = { 'id' => spec.id, 'ip' => spec.ip, 'port' => p('port'), 'az' => spec.az, 'password_sha256' => Digest::SHA256.hexdigest(p('password')) }
  ${extra}
  JSON.generate(config)
%>
`;

const storeFiles: TarEntry[] = [
  { name: 'templates/ctl.erb', content: ctl('store', '/var/vcap/store/born'), mode: 0o755 },
  { name: 'templates/config.json.erb', content: config("config['greeting'] = 'store'") },
  { name: 'templates/pre-start.erb', content: '#!/bin/bash\nset -eu\n[ -s /var/vcap/store/born ] || cat /proc/sys/kernel/random/uuid > /var/vcap/store/born\n', mode: 0o755 },
];

const clientFiles: TarEntry[] = [
  { name: 'templates/ctl.erb', content: ctl('client', '/nowhere'), mode: 0o755 },
  { name: 'templates/config.json.erb', content: config("config['greeting'] = 'client'\n  config['stores'] = link('store').instances.map { |instance| instance.address }") },
];

export interface StoreOptions {
  /** MB. */
  disk?: number;
  clients?: number;
  clientAzs?: readonly string[];
  /** Part of the clients' env: another one makes their VMs anew. */
  generation?: string;
  hotSwap?: boolean;
  port: number;
}

/** One `store` with a persistent disk, `clients` of it, and variables for both. */
export function storeManifest(name: string, { disk = 64, clients = 2, clientAzs = ['z1', 'z2'], generation = '1', hotSwap = false, port }: StoreOptions): string {
  const common = { vm_type: 'default', stemcell: 'default', networks: [{ name: 'default' }] };
  const properties = { port, node: process.execPath, password: '((password))' };
  return stringify({
    name,
    releases: [{ name: 'store', version: 'latest' }],
    stemcells: [{ alias: 'default', os: 'local-linux', version: 'latest' }],
    update: { canaries: 1, max_in_flight: 1, canary_watch_time: '500-30000', update_watch_time: '500-30000', ...(hotSwap ? { vm_strategy: 'create-swap-delete' } : {}) },
    variables: [
      { name: 'password', type: 'password' },
      { name: 'ca', type: 'certificate', options: { is_ca: true, common_name: 'ca' } },
      { name: 'tls', type: 'certificate', options: { ca: 'ca', common_name: 'store', alternative_names: ['store.internal'] } },
    ],
    instance_groups: [
      { ...common, name: 'store', azs: ['z1'], instances: 1, persistent_disk: disk, jobs: [{ name: 'store', release: 'store', properties }] },
      { ...common, name: 'client', azs: clientAzs, instances: clients, env: { generation }, jobs: [{ name: 'client', release: 'store', properties }] },
    ],
  });
}
