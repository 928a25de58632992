import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Database } from '../../db/client';
import { callerWithoutTask, type AgentCaller, type Agents, type DnsRecordsBlob } from '../agents/agent';
import { isAgentAbsent, isAgentFailure } from '../agents/request';
import type { Blobstore } from '../blobstore/blobstore';
import type { Component, ComponentContext } from '../cluster/component';
import type { Notifications } from '../cluster/notifications';
import type { Bus } from '../nats/connection';
import { FanOut, type Answer } from './fan-out';
import { listAliases } from './aliases-store';
import { dnsBlobText } from './records';
import { answerDnsRequests, dnsPublisherName, dnsRequestHint, noteBroadcast, readDnsRequests, type DnsRequests } from './request-store';
import { confirmVersions, findStored, forgetVanishedAgents, listAgentsBehind, listRecords, markStored, readNameIds, recordChanges, type AgentBehind, type DnsBlob } from './store';

/** Pause between two rounds; a round without anything to do costs nothing. */
const roundMs = 100;
/** Shortest time between two comparisons of records with instances, and so between two versions; when a task waits for one, and otherwise. */
const coalesceMs = { asked: 100, hinted: 500 };
/** How often they are compared when nothing hints at a change. */
const pollMs = 5_000;
/** In a huge fleet comparing takes its time: a pause is at least this many times as long as the last comparison, up to a limit, ms. */
const pauseFactor = { hinted: 5, polled: 20 };
const longestPauseMs = 30_000;
/** A version waits this long for the agents that have not had their turn with the one before. */
const turnMs = 5_000;
/** Answers are noted together, this often. */
const noteMs = 500;
/** How often the versions of agents that are no more are dropped. */
const forgetMs = 5_000;
/** After an upload that failed. */
const uploadRetryMs = { first: 1_000, longest: 15_000 };
/** Life of signed URLs, and the age at which a new one is made. */
const signedForS = 86_400;
const signAgainMs = 3_600_000;

export interface DnsPublisherDeps {
  db: Database;
  blobstore: Pick<Blobstore, 'put' | 'sign' | 'signsUrls'>;
  agents: Pick<Agents, 'agentFor'>;
  bus: Pick<Bus, 'isConnected'>;
  notifications: Pick<Notifications, 'subscribe'>;
  settings: {
    /** Top-level domain. */
    domain: string;
    /** Instances have names by their index too. */
    includeIndex: boolean;
    /** Agents told at a time. */
    fanOut: number;
  };
}

/**
 * Component: keeps the address records those of the instances, and every agent told.
 *
 *   compared  → records and a version (`stored` false, with the id of its blob) in one transaction
 *   uploaded  → `stored` true: from here on agents are told
 *   told      → the version that an agent has confirmed is noted, many agents at a time
 *
 * Tasks ask for a version with what they have recorded, and that every agent hears the newest one once more; one version or broadcast
 * answers many of them.
 *
 * Whoever takes over in between finds the version without its blob and replaces it by a new one (two nodes never write the same blob),
 * or tells the agents that are not noted; one that hears the same version twice says `synced` again.
 */
export function createDnsPublisher(deps: DnsPublisherDeps): Component {
  const hint = { hinted: true, asked: true };
  deps.notifications.subscribe('fleet', (payload) => {
    hint.hinted = true;
    hint.asked ||= payload === dnsRequestHint;
  });
  let term: Term | undefined;
  return {
    name: dnsPublisherName,
    intervalMs: roundMs,
    async tick(ctx) {
      if (term?.ctx.epoch !== ctx.epoch) {
        hint.hinted = true;
        hint.asked = true;
        term = newTerm(deps, ctx);
      }
      await round(deps, term, hint);
    },
  };
}

/** What is kept in memory while the lease is held. Times are monotonic ms. */
interface Term {
  ctx: ComponentContext;
  fanOut: FanOut<AgentBehind, DnsBlob>;
  /** Recorded by this term and not stored. */
  unstored: DnsBlob | undefined;
  /** Number of the broadcast under way. */
  broadcast: number | undefined;
  told: DnsBlob | undefined;
  toldAt: number;
  comparedAt: number;
  /** How long that took, ms. */
  comparingMs: number;
  notedAt: number;
  forgottenAt: number;
  uploadAt: number;
  uploadPauseMs: number;
}

function newTerm(deps: DnsPublisherDeps, ctx: ComponentContext): Term {
  const tell = teller(deps, ctx);
  return {
    ctx,
    fanOut: new FanOut({ tell, canSend: () => deps.bus.isConnected(), limit: deps.settings.fanOut, signal: ctx.signal }),
    unstored: undefined, broadcast: undefined, told: undefined, toldAt: -Infinity, comparedAt: -Infinity, comparingMs: 0, notedAt: -Infinity, forgottenAt: performance.now(), uploadAt: -Infinity, uploadPauseMs: 0,
  };
}

async function round(deps: DnsPublisherDeps, term: Term, hint: { hinted: boolean; asked: boolean }): Promise<void> {
  const now = performance.now();
  if (now - term.notedAt >= noteMs || term.fanOut.behind === 0) await note(term);
  const [shortestMs, factor] = hint.hinted ? [hint.asked ? coalesceMs.asked : coalesceMs.hinted, pauseFactor.hinted] : [pollMs, pauseFactor.polled];
  const due = now - term.comparedAt >= Math.min(Math.max(shortestMs, factor * term.comparingMs), longestPauseMs);
  const waitsForTurns = term.fanOut.queued > 0 && now - term.toldAt < turnMs;
  if (due && !waitsForTurns) {
    const { asked } = hint;
    Object.assign(hint, { hinted: false, asked: false });
    term.comparedAt = now;
    await compare(deps, term).catch((error: unknown) => {
      Object.assign(hint, { hinted: true, asked });
      throw error;
    });
  }
  if (now - term.forgottenAt >= forgetMs) {
    term.forgottenAt = now;
    await term.ctx.write((tx) => forgetVanishedAgents(tx));
  }
  if (term.unstored && now >= term.uploadAt) await upload(deps, term, term.unstored);
  term.fanOut.pump();
  if (term.broadcast !== undefined && term.fanOut.repeating === 0) await endBroadcast(term, term.broadcast);
}

async function compare(deps: DnsPublisherDeps, term: Term): Promise<void> {
  const blobId = randomUUID();
  // A transaction whose commit was not heard of is repeated: the first one's version is our own too.
  const isOwn = (id: string) => id === blobId || id === term.unstored?.blobId;
  const { newest, requests } = await term.ctx.write(async (tx) => {
    const since = performance.now();
    // Read first: what is recorded after the comparison belongs to requests that come later.
    const read = await readDnsRequests(tx);
    const found = await recordChanges(tx, { domain: deps.settings.domain, blobId, isOwn });
    if (read.answered < read.requested) await answerDnsRequests(tx, read.requested, found?.version);
    term.comparingMs = performance.now() - since;
    return { newest: found, requests: read };
  });
  term.unstored = newest?.stored === false ? newest : undefined;
  const told = newest?.stored ? newest : await findStored(deps.db);
  if (told) await aim(deps, term, told);
  await broadcast(deps, term, requests);
}

/** Everybody hears the newest version once more, also who is known to have it: an agent may have lost it. */
async function broadcast(deps: DnsPublisherDeps, term: Term, { broadcastRequested, broadcastDone }: DnsRequests): Promise<void> {
  if (broadcastRequested <= Math.max(broadcastDone, term.broadcast ?? 0)) return;
  term.broadcast = broadcastRequested;
  if (term.told) term.fanOut.repeat(await listAgentsBehind(deps.db, Number.MAX_SAFE_INTEGER));
}

/** Noted at its end: whoever takes over before begins it again. */
async function endBroadcast(term: Term, number: number): Promise<void> {
  await term.ctx.write((tx) => noteBroadcast(tx, number));
  term.broadcast = undefined;
}

async function aim(deps: DnsPublisherDeps, term: Term, blob: DnsBlob): Promise<void> {
  if (blob.version !== term.told?.version) term.toldAt = performance.now();
  term.told = blob;
  term.fanOut.aim(blob, await listAgentsBehind(deps.db, blob.version));
}

/** The blobstore may be away: the version waits, and agents are told the one before. */
async function upload(deps: DnsPublisherDeps, term: Term, blob: DnsBlob): Promise<void> {
  const { ctx } = term;
  try {
    const contents = { version: blob.version, records: await listRecords(deps.db), ids: await readNameIds(deps.db), aliases: await listAliases(deps.db, deps.settings.domain), includeIndex: deps.settings.includeIndex };
    if (!ctx.holds()) return;
    const { sha256, size } = await deps.blobstore.put(Readable.from(whileHeld(ctx, dnsBlobText(contents)), { objectMode: false }), blob.blobId);
    const digest = `sha256:${sha256}`;
    await ctx.write((tx) => markStored(tx, blob.version, digest));
    ctx.log.info('dns-version-stored', { version: blob.version, records: contents.records.length, bytes: size });
    term.unstored = undefined;
    term.uploadPauseMs = 0;
    await aim(deps, term, { ...blob, digest, stored: true });
  } catch (error) {
    if (!ctx.holds()) throw error;
    term.uploadPauseMs = Math.min(Math.max(uploadRetryMs.first, term.uploadPauseMs * 2), uploadRetryMs.longest);
    term.uploadAt = performance.now() + term.uploadPauseMs;
    ctx.log.warn('dns-upload-failed', { version: blob.version, error, retry_ms: term.uploadPauseMs });
  }
}

/** The text piece by piece; everything else that this process does gets its turn in between. */
async function* whileHeld(ctx: ComponentContext, text: Iterable<string>): AsyncGenerator<string> {
  for (const piece of text) {
    await nextTurn();
    if (!ctx.holds()) throw new Error('the lease was lost while the DNS records were uploaded');
    ctx.progress();
    yield piece;
  }
}

async function note(term: Term): Promise<void> {
  term.notedAt = performance.now();
  const confirmed = new Map(term.fanOut.confirmed);
  if (confirmed.size === 0) return;
  await term.ctx.write((tx) => confirmVersions(tx, confirmed));
  term.fanOut.noted(confirmed);
  if (term.fanOut.behind === 0) term.ctx.log.info('dns-version-told', { version: term.told?.version, ms: Math.round(performance.now() - term.toldAt) });
}

/** Tells one agent, by blob id or, where its stemcell can do that, by signed URL. */
function teller(deps: DnsPublisherDeps, ctx: ComponentContext): (agent: AgentBehind, blob: DnsBlob) => Promise<Answer> {
  // Every agent that is being told listens to it.
  setMaxListeners(0, ctx.signal);
  const caller: AgentCaller = {
    ...callerWithoutTask(ctx.signal),
    fence: async () => {
      if (!ctx.holds()) throw new Error('the lease of the DNS publisher was lost');
    },
  };
  const signed = signedUrls(deps.blobstore);
  return async (agent, blob) => {
    try {
      const { version, digest, blobId } = blob;
      const usesUrl = deps.blobstore.signsUrls && (agent.stemcellApiVersion ?? 1) >= 3;
      const records: DnsRecordsBlob = usesUrl ? { version, digest, signedUrl: await signed(blobId) } : { version, digest, blobId };
      return (await deps.agents.agentFor({ id: agent.agentId, name: agent.name }, caller).syncDns(records, { absent: 'fail' })) ? 'synced' : 'refused';
    } catch (error) {
      if (!ctx.holds()) throw error;
      if (isAgentAbsent(error)) return 'absent';
      if (!isAgentFailure(error)) return 'silent';
      ctx.log.debug('dns-refused', { agent: agent.agentId, version: blob.version, error: error.message });
      return 'refused';
    }
  };
}

/** One URL for all agents that are told the same blob. */
function signedUrls(blobstore: DnsPublisherDeps['blobstore']): (blobId: string) => Promise<string> {
  let last: { blobId: string; at: number; url: Promise<string> } | undefined;
  return (blobId) => {
    const now = performance.now();
    if (last?.blobId === blobId && now - last.at < signAgainMs) return last.url;
    const made = { blobId, at: now, url: blobstore.sign(blobId, 'get', signedForS) };
    last = made;
    made.url.catch(() => {
      if (last === made) last = undefined;
    });
    return made.url;
  };
}
