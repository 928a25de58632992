import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { packTgz, type TarEntry } from '../../server/local/samples/tarball';

/** A release whose one package takes 4 s to compile, and whose job runs the sample's kind of server on its address. */
export async function slowRelease(): Promise<Buffer> {
  const pkg = await packTgz([{ name: 'packaging', mode: 0o755, content: 'set -eu\nsleep 4\ncp server.js "$BOSH_INSTALL_TARGET/"\n' }, { name: 'server.js', content: server }]);
  const job = await packTgz(jobFiles);
  const entry = (name: string, content: Buffer) => {
    const digest = createHash('sha256').update(content).digest('hex');
    return { name, version: digest, fingerprint: digest, sha1: `sha256:${digest}` };
  };
  const manifest = {
    name: 'slow', version: '1', commit_hash: '0000000', uncommitted_changes: false,
    jobs: [{ ...entry('slow', job), packages: ['slow'] }], packages: [{ ...entry('slow', pkg), dependencies: [] }],
  };
  return packTgz([{ name: 'release.MF', content: stringify(manifest) }, { name: 'packages/slow.tgz', content: pkg }, { name: 'jobs/slow.tgz', content: job }]);
}

const server = `const [ip, port, id] = process.argv.slice(2);
require('node:http').createServer((request, response) => response.end(JSON.stringify({ id, greeting: 'slow' }))).listen(Number(port), ip);
`;

const jobFiles: TarEntry[] = [
  {
    name: 'job.MF',
    content: stringify({
      name: 'slow', templates: { 'ctl.erb': 'bin/ctl' }, packages: ['slow'],
      properties: { port: { description: 'port of the server' }, node: { description: 'path of the Node.js executable' } },
    }),
  },
  { name: 'monit', content: 'check process slow\n  with pidfile /var/vcap/sys/run/slow.pid\n  start program "/var/vcap/jobs/slow/bin/ctl start"\n  stop program "/var/vcap/jobs/slow/bin/ctl stop"\n  group vcap\n' },
  {
    name: 'templates/ctl.erb',
    content: `#!/bin/bash
set -eu
pidfile=/var/vcap/sys/run/slow.pid
case $1 in
  start)
    mkdir -p /var/vcap/sys/run
    <%= p('node') %> /var/vcap/packages/slow/server.js <%= spec.ip %> <%= p('port') %> <%= spec.id %> > /dev/null 2>&1 &
    echo $! > $pidfile
    ;;
  stop)
    kill "$(cat $pidfile)" || true
    rm -f $pidfile
    ;;
esac
`,
  },
];

/** One instance of it. */
export function slowManifest(name: string): string {
  return stringify({
    name,
    releases: [{ name: 'slow', version: 'latest' }],
    stemcells: [{ alias: 'default', os: 'local-linux', version: 'latest' }],
    update: { canaries: 1, max_in_flight: 1, canary_watch_time: '1000-30000', update_watch_time: '1000-30000' },
    instance_groups: [{ name: 'slow', azs: ['z1'], instances: 1, vm_type: 'default', stemcell: 'default', networks: [{ name: 'default' }], jobs: [{ name: 'slow', release: 'slow', properties: { port: 18_070, node: process.execPath } }] }],
  });
}
