import { z } from 'zod';
import { DirectorError, code } from '../core/errors';
import { listDisks } from '../disks/store';
import { recordEvent } from '../events/store';
import { findInstance, listInstances, listVms, setIgnored } from '../instances/store';
import { acceptTask } from './accept-task';
import type { ApiDeps } from './deps';
import { presentInstance, presentVm } from './present';
import { empty, json, text, type Reply } from './reply';
import { deploymentOf, type ApiRequest } from './route';

export async function listAllInstances(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  if (wantsAgents(request)) return askAgents(deps, request, 'instances');
  return json((await listInstances(deps.db, deploymentOf(request).id)).map(presentInstance));
}

export async function listAllVms(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  if (wantsAgents(request)) return askAgents(deps, request, 'vms');
  return json((await listVms(deps.db, deploymentOf(request).id)).map(presentVm));
}

function wantsAgents(request: ApiRequest): boolean {
  return request.query.get('format') === 'full';
}

/** Vitals come from the agents, by a task. */
function askAgents(deps: ApiDeps, request: ApiRequest, view: 'vms' | 'instances'): Promise<Reply> {
  const deployment = deploymentOf(request);
  return acceptTask(deps, request, async () => ({
    type: 'vms', lane: 'urgent', description: 'retrieve vm-stats', deployment: deployment.name, teams: deployment.teams, payload: { deployment: deployment.name, view },
  }));
}

export async function show(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const deployment = deploymentOf(request);
  const group = request.param('job');
  const instance = await getInstance(deps, request, group);
  return json({ deployment: deployment.name, job: group, index: instance.index, id: instance.uuid, state: instance.state, disks: (await listDisks(deps.db, instance.id)).map((disk) => disk.cid) });
}

/** The instance that `:id` names by UUID or index. Throws 70002 for what is neither, 70001 when there is none. */
export async function getInstance(deps: ApiDeps, request: ApiRequest, group: string): Promise<{ id: number; uuid: string; index: number; state: string }> {
  const deployment = deploymentOf(request);
  const id = request.param('id');
  if (!/^(\d+|[0-9A-Fa-f]{8}-[0-9A-Fa-f-]{27})$/.test(id)) throw new DirectorError(code.instanceInvalidIndex, `Invalid instance index or id '${id}'`);
  const found = await findInstance(deps.db, { deploymentId: deployment.id, group, id });
  if (!found) throw new DirectorError(code.instanceNotFound, `'${deployment.name}/${group}/${id}' doesn't exist`);
  return found;
}

const ignoreBody = z.object({ ignore: z.boolean() });

export async function ignore(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const wanted = await request.body.jsonOf(ignoreBody);
  const deployment = deploymentOf(request).name;
  const group = request.param('group');
  const instance = await getInstance(deps, request, group);
  await deps.db.transaction(async (tx) => {
    await setIgnored(tx, instance.id, wanted.ignore);
    const name = `${group}/${instance.uuid}`;
    await recordEvent(tx, { user: request.principal.username, action: wanted.ignore ? 'ignore' : 'unignore', objectType: 'instance', objectName: name, deployment, instance: name });
  });
  return empty(200);
}

/** Resurrection of single instances is gone from BOSH too; 410 tells what replaces it. */
export async function resurrectionGone(): Promise<Reply> {
  return text(
    410,
    'Resurrection cannot be switched per instance: use a resurrection config (https://bosh.io/docs/resurrector/#enable-with-resurrection-config) for a deployment or instance group, or ignore the instance (https://bosh.io/docs/cli-v2/#ignore).',
  );
}
