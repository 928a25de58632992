import type { TarEntry } from './tarball';

/** The sources of the sample release `hello`: a small HTTP server that tells who it is. */

const script = (name: string, content: string): TarEntry => ({ name, content, mode: 0o755 });

/** Package `hello-common`: a banner and a record of the build. */
export const commonSources: TarEntry[] = [
  script(
    'packaging',
    `set -eu
mkdir -p "$BOSH_INSTALL_TARGET/share"
sort -u words.txt > "$BOSH_INSTALL_TARGET/share/words.txt"
sum=$(sha256sum "$BOSH_INSTALL_TARGET/share/words.txt" | cut -d' ' -f1)
printf '{"package":"%s","version":"%s","words_sha256":"%s"}\\n' "$BOSH_PACKAGE_NAME" "$BOSH_PACKAGE_VERSION" "$sum" > "$BOSH_INSTALL_TARGET/share/build.json"
`,
  ),
  { name: 'words.txt', content: 'steady\nplain\nawake\nready\nsteady\n' },
];

/** Package `hello-server`: the server with the words of `hello-common` built in. */
export const serverSources: TarEntry[] = [
  script(
    'packaging',
    `set -eu
common=$(dirname "$BOSH_INSTALL_TARGET")/hello-common
mkdir -p "$BOSH_INSTALL_TARGET/lib"
{
  printf 'module.exports = ['
  while read -r word; do printf '"%s", ' "$word"; done < "$common/share/words.txt"
  printf '];\\n'
} > "$BOSH_INSTALL_TARGET/lib/words.js"
cp server.js "$BOSH_INSTALL_TARGET/lib/server.js"
cp "$common/share/build.json" "$BOSH_INSTALL_TARGET/lib/common-build.json"
`,
  ),
  {
    name: 'server.js',
    content: `'use strict';
const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const words = require('./words.js');

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const startedAt = new Date().toISOString();
let served = 0;
let draining = false;

const server = createServer((request, response) => {
  served += 1;
  const healthy = request.url !== '/health' || !draining;
  const word = words[config.index % words.length];
  response.writeHead(healthy ? 200 : 503, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ ...config, word, started_at: startedAt, served, draining, pid: process.pid }) + '\\n');
});
server.listen(config.port, config.ip, () => console.log('listening on ' + config.ip + ':' + config.port));
process.on('SIGUSR2', () => { draining = true; console.log('draining'); });
process.on('SIGTERM', () => { console.log('stopping'); server.close(() => process.exit(0)); server.closeAllConnections(); });
`,
  },
];

const monit = `check process hello
  with pidfile /var/vcap/sys/run/hello/hello.pid
  start program "/var/vcap/jobs/hello/bin/ctl start" with timeout 20 seconds
  stop program "/var/vcap/jobs/hello/bin/ctl stop" with timeout 20 seconds
  group vcap
`;

const ctl = `#!/bin/bash
set -eu
run_dir=/var/vcap/sys/run/hello
log_dir=/var/vcap/sys/log/hello
pidfile=$run_dir/hello.pid

is_running() { [ -s "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2> /dev/null; }

case \${1:-} in
  start)
    is_running && exit 0
    mkdir -p "$run_dir" "$log_dir"
    <%= p('node') %> /var/vcap/packages/hello-server/lib/server.js /var/vcap/jobs/hello/config/config.json \\
      >> "$log_dir/hello.stdout.log" 2>> "$log_dir/hello.stderr.log" < /dev/null &
    echo $! > "$pidfile"
    ;;
  stop)
    is_running || exit 0
    kill "$(cat "$pidfile")"
    for _ in $(seq 100); do is_running || break; sleep 0.1; done
    rm -f "$pidfile"
    ;;
  *)
    echo "usage: ctl start|stop" >&2
    exit 1
    ;;
esac
`;

const configTemplate = `<%=
  require 'json'
  config = {
    'greeting' => p('greeting'),
    'ip' => spec.ip,
    'port' => p('port'),
    'deployment' => spec.deployment,
    'instance_group' => spec.name,
    'id' => spec.id,
    'index' => spec.index,
    'az' => spec.az,
    'bootstrap' => spec.bootstrap,
    'networks' => spec.networks.to_h.map { |name, network| [name, network.ip] }.to_h,
  }
  if_p('motto') { |motto| config['motto'] = motto }
  JSON.pretty_generate(config)
%>
`;

const preStart = `#!/bin/bash
set -eu
mkdir -p /var/vcap/data/hello
date -u +%FT%TZ > /var/vcap/data/hello/prepared_at
echo "prepared <%= spec.deployment %>/<%= name %>/<%= index %>"
`;

const postStart = `#!/bin/bash
set -eu
for _ in $(seq 100); do
  if (exec 3<> /dev/tcp/<%= spec.ip %>/<%= p('port') %>) 2> /dev/null; then
    echo "answers on <%= spec.ip %>:<%= p('port') %>"
    exit 0
  fi
  sleep 0.1
done
echo "no answer on <%= spec.ip %>:<%= p('port') %>" >&2
exit 1
`;

const postDeploy = `#!/bin/bash
set -eu
echo "deployed <%= name %>/<%= index %> in <%= spec.az %>"
`;

/** A dynamic drain: refuses new health checks, asks to be called again once, then says it is done. */
const drain = `#!/bin/bash
pidfile=/var/vcap/sys/run/hello/hello.pid
if [ "$1" = job_check_status ]; then
  echo 0
elif [ -s "$pidfile" ] && kill -USR2 "$(cat "$pidfile")" 2> /dev/null; then
  echo -<%= p('drain_seconds') %>
else
  echo 0
fi
`;

const jobManifest = `---
name: hello
templates:
  ctl.erb: bin/ctl
  config.json.erb: config/config.json
  pre-start.erb: bin/pre-start
  post-start.erb: bin/post-start
  post-deploy.erb: bin/post-deploy
  drain.erb: bin/drain
packages:
- hello-common
- hello-server
properties:
  port:
    description: Port that the server listens on, at the address of its VM
    default: 8080
  greeting:
    description: What it says
    default: Hello
  motto:
    description: Said too, when given
  node:
    description: Path of the Node.js executable
    default: /usr/bin/env node
  drain_seconds:
    description: How long it goes on serving after it was told to drain
    default: 0
`;

/** Job `hello`. */
export const jobSources: TarEntry[] = [
  { name: 'job.MF', content: jobManifest },
  { name: 'monit', content: monit },
  { name: 'templates/ctl.erb', content: ctl },
  { name: 'templates/config.json.erb', content: configTemplate },
  { name: 'templates/pre-start.erb', content: preStart },
  { name: 'templates/post-start.erb', content: postStart },
  { name: 'templates/post-deploy.erb', content: postDeploy },
  { name: 'templates/drain.erb', content: drain },
];
