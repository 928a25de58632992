import type { NewAlert } from '../alerts/alert';
import { insertAlert } from '../alerts/store';
import { uuidFrom } from '../core/digest';
import { describeError } from '../core/errors';
import type { TaskContext } from '../tasks/context';

/**
 * The director's own alerts about deploys. The Ruby director publishes them on NATS (`hm.director.alert`) for its health monitor,
 * and NATS may lose them; here they are stored with the others, from where they are delivered.
 * Texts and severities: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/notifier.rb.
 */

export type DeployMoment = { kind: 'begin' } | { kind: 'finish' } | { kind: 'error'; error: unknown };

export interface DeployIdentity {
  taskId: number;
  deployment: string;
  directorUuid: string;
}

/** The alert; ids follow from task and kind, so attempts of one task do not tell the same twice. @param atMs epoch ms */
export function deployAlert({ taskId, deployment, directorUuid }: DeployIdentity, moment: DeployMoment, atMs: number): NewAlert {
  const dedupKey = `director/task/${taskId}/deploy/${moment.kind}`;
  const about = `update deployment for '${deployment}' against Director '${directorUuid}'`;
  const texts = textsOf(moment, about);
  return { id: uuidFrom(`${directorUuid}/${dedupKey}`), dedupKey, origin: 'director', source: 'director', deployment, createdAt: Math.floor(atMs / 1_000), ...texts };
}

function textsOf(moment: DeployMoment, about: string): Pick<NewAlert, 'severity' | 'title' | 'summary'> {
  switch (moment.kind) {
    case 'begin':
      return { severity: 4, title: 'director - begin update deployment', summary: `Begin ${about}` };
    case 'finish':
      return { severity: 4, title: 'director - finish update deployment', summary: `Finish ${about}` };
    case 'error':
      return { severity: 3, title: 'director - error during update deployment', summary: `Error during ${about}: ${describeError(moment.error).message.replaceAll('\u0000', '')}` };
  }
}

/** Stores the alert; one that an earlier attempt stored stays as it is. */
export async function storeDeployAlert(ctx: TaskContext, identity: DeployIdentity, moment: DeployMoment): Promise<void> {
  const alert = deployAlert(identity, moment, ctx.clock.now());
  await ctx.write((tx) => insertAlert(tx, { ...alert, summary: ctx.secrets.clean(alert.summary) }));
}
