import type { TarEntry } from '../../server/local/samples/tarball';

/** A bash script of a job. */
export const script = (name: string, content: string): TarEntry => ({ name, content: `#!/bin/bash\n${content}\n` });

/** A job's monit file; `more` is added to it. */
export const monit = (name: string, more = '') => `check process ${name}
  with pidfile /var/vcap/sys/run/${name}/${name}.pid
  start program "/var/vcap/jobs/${name}/bin/ctl start" with timeout 2 seconds
  stop program "/var/vcap/jobs/${name}/bin/ctl stop" with timeout 2 seconds
  group vcap
  ${more}`;

/** A control script whose process sleeps; every call adds a line to sys/log/order.log. */
export const ctl = (name: string) => `
pidfile=/var/vcap/sys/run/${name}/${name}.pid
case $1 in
start) echo start-${name} >> /var/vcap/sys/log/order.log; sleep 1000 > /dev/null 2>&1 & echo $! > $pidfile ;;
stop) echo stop-${name} >> /var/vcap/sys/log/order.log; kill $(cat $pidfile); rm -f $pidfile ;;
esac`;
