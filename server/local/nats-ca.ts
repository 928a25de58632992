import { readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { findSigningCertificate } from '../nats/ca-bundle';
import { createCa, issueClientCertificate, issueServerCertificate, type Certificate } from '../nats/credentials';

/** `directorate nats-ca`: makes a CA for NATS, and certificates with the names that directors, agents and servers expect of each other. */
const usage = `Usage: directorate nats-ca ca [--common-name CN] [--days N] [--out PREFIX]
       directorate nats-ca server --ca FILE --ca-key FILE --name HOST [--name HOST …] [--days N] [--out PREFIX]
       directorate nats-ca director --ca FILE --ca-key FILE [--days N] [--out PREFIX]
       directorate nats-ca health-monitor --ca FILE --ca-key FILE [--days N] [--out PREFIX]

Prints a certificate and its key (PEM); with --out they go to PREFIX.crt and PREFIX.key, which must not exist.

  ca               a new CA: for nats.ca and nats.ca_private_key
  server           for NATS servers; name every host name and address under which they are reached
  director         for nats.director
  health-monitor   for nats.health_monitor

  --ca             the CA that signs; of several certificates the one that fits the key
  --days           validity; 3650 for a CA, else 730
`;

const clients = { director: 'default.director.bosh-internal', 'health-monitor': 'default.hm.bosh-internal' };

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      ca: { type: 'string' },
      'ca-key': { type: 'string' },
      'common-name': { type: 'string', default: 'default.nats-ca.bosh-internal' },
      name: { type: 'string', multiple: true, default: [] },
      days: { type: 'string' },
      out: { type: 'string' },
    },
  });
  if (values.help) return void process.stdout.write(usage);
  const kind = positionals[0];
  const days = values.days === undefined ? undefined : daysOf(values.days);
  if (positionals.length !== 1) throw new Error(usage);
  const signer = () => readSigner(values.ca, values['ca-key']);
  switch (kind) {
    case 'ca':
      return output(await createCa(values['common-name'], days), values.out);
    case 'server':
      return output(await issueServer(await signer(), values.name, days), values.out);
    case 'director':
    case 'health-monitor':
      return output(await issueClientCertificate(await signer(), { cn: clients[kind], days: days ?? 730 }), values.out);
    default:
      throw new Error(usage);
  }
}

async function readSigner(caFile: string | undefined, keyFile: string | undefined): Promise<Certificate> {
  if (!caFile || !keyFile) throw new Error(usage);
  const [bundle, privateKey] = await Promise.all([readFile(caFile, 'utf8'), readFile(keyFile, 'utf8')]);
  return { certificate: findSigningCertificate(bundle, privateKey), privateKey };
}

function issueServer(ca: Certificate, names: string[], days: number | undefined): Promise<Certificate> {
  if (names.length === 0) throw new Error(`name the hosts under which the servers are reached\n\n${usage}`);
  return issueServerCertificate(ca, {
    cn: 'default.nats.bosh-internal',
    dnsNames: ['default.nats.bosh-internal', ...names.filter((name) => isIP(name) === 0)],
    ips: names.filter((name) => isIP(name) !== 0),
    ...(days === undefined ? {} : { days }),
  });
}

function daysOf(text: string): number {
  const days = Number(text);
  if (!Number.isInteger(days) || days < 1) throw new Error(`--days: '${text}' is not a number of days`);
  return days;
}

async function output({ certificate, privateKey }: Certificate, prefix: string | undefined): Promise<void> {
  if (prefix === undefined) {
    process.stdout.write(certificate + privateKey);
    return;
  }
  await writeFile(`${prefix}.key`, privateKey, { mode: 0o600, flag: 'wx' });
  await writeFile(`${prefix}.crt`, certificate, { flag: 'wx' });
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
