/** How alerts name agents and instances. Texts: cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/{agent,instance}.rb. */

export interface NamedAgent {
  agentId: string;
  deployment?: string | undefined;
  group?: string | undefined;
  index?: number | undefined;
  instanceUuid?: string | undefined;
  cid?: string | undefined;
}

export function agentName({ agentId, deployment, group, index, instanceUuid, cid }: NamedAgent): string {
  if (deployment !== undefined && group !== undefined && instanceUuid !== undefined) {
    return `${deployment}: ${group}(${instanceUuid}) [id=${agentId}, ${index === undefined ? '' : `index=${index}, `}cid=${cid ?? ''}]`;
  }
  return `agent ${agentId} [${known({ deployment, job: group, index, instance_id: instanceUuid, cid })}]`;
}

/** An instance without a VM. */
export function instanceNameOf(instance: { deployment: string; group: string; index: number; instanceUuid: string }): string {
  return `${instance.deployment}: ${instance.group}(${instance.instanceUuid}) [index=${instance.index}, cid=]`;
}

function known(attributes: Record<string, string | number | undefined>): string {
  return Object.entries(attributes).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`])).join(', ');
}
