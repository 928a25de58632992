import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { accessSync, constants, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CpiConfig } from './config';
import { cloudError } from './errors';
import { findStemcell, parseAgentSpec, stemcellDirectory, type AgentSpec } from './records';
import { discard, isNoSuchFile, isSafeName, removeLitter, writeJson } from './state';

/** File in the image that says which agent the stemcell carries. */
export const agentSpecFile = 'agent-spec.json';

const draftMaxAgeMs = 3600_000;

/**
 * Unpacks a stemcell's image (a gzipped tar) and keeps it under a new cid. The stemcell appears only when it is complete;
 * what a killed call left among the drafts is removed by a later one.
 */
export function createStemcell(config: CpiConfig, imagePath: string, cloudProperties: Record<string, unknown>): string {
  const cid = `stemcell-${randomUUID()}`;
  const drafts = join(config.state_dir, 'drafts');
  removeLitter(drafts, draftMaxAgeMs);
  const draft = join(drafts, cid);
  const image = join(draft, 'image');
  mkdirSync(image, { recursive: true });
  try {
    unpack(imagePath, image);
    const agent = readAgentSpec(image);
    writeJson(join(draft, 'stemcell.json'), { cid, agent, cloud_properties: cloudProperties, created_at: new Date().toISOString() });
    mkdirSync(join(config.state_dir, 'stemcells'), { recursive: true });
    renameSync(draft, stemcellDirectory(config.state_dir, cid));
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
  return cid;
}

/** Deletes a stemcell; VMs that were made from it go on. One that does not exist (any more) is no error. */
export function deleteStemcell(config: CpiConfig, cid: string): void {
  if (isSafeName(cid) && findStemcell(config.state_dir, cid) !== undefined) discard(config.state_dir, stemcellDirectory(config.state_dir, cid));
}

function unpack(imagePath: string, target: string): void {
  const run = spawnSync('tar', ['-xzf', imagePath, '-C', target, '--no-same-owner'], { encoding: 'utf8' });
  if (run.error !== undefined) throw cloudError(`Could not run tar: ${run.error.message}`);
  if (run.status !== 0) throw cloudError(`The stemcell image ${imagePath} is not a gzipped tar archive: ${run.stderr.trim()}`);
}

function readAgentSpec(image: string): AgentSpec {
  let text: string;
  try {
    text = readFileSync(join(image, agentSpecFile), 'utf8');
  } catch (error) {
    if (!isNoSuchFile(error)) throw error;
    throw cloudError(`The stemcell image has no ${agentSpecFile}: it is not made for the local cloud`);
  }
  const spec = parseAgentSpec(JSON.parse(text));
  if (spec.agent === 'exec') checkExecutable(image, spec.path);
  return spec;
}

function checkExecutable(image: string, path: string): void {
  if (path.split('/').includes('..')) throw cloudError(`The agent's path '${path}' in ${agentSpecFile} leaves the image`);
  try {
    accessSync(join(image, path), constants.X_OK);
  } catch {
    throw cloudError(`The stemcell image has no executable '${path}', which its ${agentSpecFile} names as the agent`);
  }
}
