import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { TRPCClientError } from '@trpc/client';
import { createDirectorateClient } from '../trpc/client';

/** `directorate move-bus`: gives VMs another list of NATS servers, or certificates of another NATS CA, through a running director. */
const usage = `Usage: directorate move-bus --urls nats://HOST:PORT[,nats://HOST:PORT …] [--az AZ] [--follow]
       directorate move-bus --id ID [--follow]
                 [--environment https://HOST:25555] [--ca-cert FILE] [--client NAME]

Starts a move and prints how it stands; the director goes on with it by itself. With --id an earlier one is shown.

  --urls         the NATS servers as agents reach them; the same list again renews the agents' certificates
  --az           only VMs of this availability zone
  --follow       shows progress until every agent has been told
  --environment  the director; default: BOSH_ENVIRONMENT
  --ca-cert      CA of its certificate, a file or PEM; default: BOSH_CA_CERT
  --client       user name; default: BOSH_CLIENT. The password comes from BOSH_CLIENT_SECRET
`;

const pollMs = 1_000;
type Client = ReturnType<typeof createDirectorateClient>;
type Move = Awaited<ReturnType<Client['bus']['get']['query']>>;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      urls: { type: 'string', multiple: true, default: [] },
      az: { type: 'string' },
      id: { type: 'string' },
      follow: { type: 'boolean', default: false },
      environment: { type: 'string', default: process.env.BOSH_ENVIRONMENT ?? '' },
      'ca-cert': { type: 'string', default: process.env.BOSH_CA_CERT ?? '' },
      client: { type: 'string', default: process.env.BOSH_CLIENT ?? '' },
    },
  });
  if (values.help) return void process.stdout.write(usage);
  const urls = values.urls.flatMap((text) => text.split(',')).map((url) => url.trim()).filter((url) => url !== '');
  if (!values.environment || !values.client || (urls.length === 0) === (values.id === undefined)) throw new Error(usage);
  const client = createDirectorateClient({
    url: values.environment.includes('://') ? values.environment : `https://${values.environment}:25555`,
    ca: await readCa(values['ca-cert']),
    auth: { username: values.client, password: process.env.BOSH_CLIENT_SECRET ?? '' },
  });
  const id = values.id === undefined ? (await client.bus.start.mutate({ urls, ...(values.az === undefined ? {} : { az: values.az }) })).id : idOf(values.id);
  if (values.follow) return follow(client, id);
  process.stdout.write(`${describe(await client.bus.get.query({ id }))}\n`);
}

/** PEM, or the file that has it, as the bosh CLI takes it. */
async function readCa(value: string): Promise<string | undefined> {
  if (value === '') return undefined;
  return value.includes('-----BEGIN') ? value : readFile(value, 'utf8');
}

function idOf(text: string): number {
  const id = Number(text);
  if (!Number.isInteger(id) || id < 1) throw new Error(`--id: '${text}' is not the number of a move`);
  return id;
}

/** Prints every change until the move has ended. Nodes may come and go meanwhile; the move goes on also when this is interrupted. */
async function follow(client: Client, id: number): Promise<void> {
  for (let shown = ''; ; await wait(pollMs)) {
    const move = await askPatiently(() => client.bus.get.query({ id }));
    const line = describe(move);
    if (line !== shown) process.stdout.write(`${line}\n`);
    shown = line;
    if (move.supersededBy !== undefined) process.exitCode = 1;
    if (move.finishedAt !== undefined || move.supersededBy !== undefined) return;
  }
}

/** Asks again for as long as no node answers. */
async function askPatiently<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      // What a director said has data; what the network did has not.
      if (!(error instanceof TRPCClientError) || error.data !== undefined) throw error;
      await wait(pollMs);
    }
  }
}

function describe(move: Move): string {
  const counts = [`${move.told} told`, `${move.pending} waiting`, ...(move.gone > 0 ? [`${move.gone} gone`] : []), ...(move.superseded > 0 ? [`${move.superseded} left to other moves`] : [])];
  const state = move.supersededBy !== undefined ? `, ended by move ${move.supersededBy}` : move.finishedAt ? ', finished' : '';
  const error = move.error !== undefined && state === '' ? `. ${move.error}` : '';
  return `Move ${move.id} of ${move.az === undefined ? 'all VMs' : `AZ ${move.az}`} to ${move.urls.join(', ')}: ${counts.join(', ')}${state}${error}`;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
