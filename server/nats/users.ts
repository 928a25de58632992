/**
 * The users file of the NATS servers: who may connect, by certificate subject, and what each may say and hear.
 * Permissions: cloudfoundry/bosh src/bosh-nats-sync/lib/nats_sync/nats_auth_config.rb.
 */

export interface NatsAgent {
  agentId: string;
  /** The agent may still come with its short-lived bootstrap certificate. */
  bootstrap: boolean;
}

export interface NatsUsers {
  /** Subject of the director's client certificate; left out when empty. */
  directorSubject?: string | undefined;
  /** Subject of the health monitor's; left out when empty. */
  hmSubject?: string | undefined;
  agents: readonly NatsAgent[];
}

interface User {
  user: string;
  permissions: { publish: string[]; subscribe: string[] };
}

/** The file's content: one line of JSON, which nats-server's `include` understands. The same users give the same text. */
export function natsAuthFile(users: NatsUsers): string {
  const agents = [...users.agents].sort((a, b) => (a.agentId < b.agentId ? -1 : a.agentId > b.agentId ? 1 : 0));
  const list: User[] = [...ownUsers(users), ...agents.flatMap(agentUsers)];
  return JSON.stringify({ authorization: { users: list } }) + '\n';
}

function ownUsers({ directorSubject, hmSubject }: NatsUsers): User[] {
  const list: User[] = [];
  if (directorSubject) list.push({ user: directorSubject, permissions: { publish: ['agent.*', 'hm.director.alert'], subscribe: ['director.>'] } });
  if (hmSubject) {
    list.push({
      user: hmSubject,
      permissions: { publish: [], subscribe: ['hm.agent.heartbeat.*', 'hm.agent.alert.*', 'hm.agent.shutdown.*', 'hm.director.alert'] },
    });
  }
  return list;
}

function agentUsers({ agentId, bootstrap }: NatsAgent): User[] {
  const permissions = {
    publish: [`hm.agent.heartbeat.${agentId}`, `hm.agent.alert.${agentId}`, `hm.agent.shutdown.${agentId}`, `director.*.${agentId}.*`],
    subscribe: [`agent.${agentId}`],
  };
  const user = (commonName: string): User => ({ user: `C=USA, O=Cloud Foundry, CN=${commonName}`, permissions });
  const permanent = user(`${agentId}.agent.bosh-internal`);
  return bootstrap ? [user(`${agentId}.bootstrap.agent.bosh-internal`), permanent] : [permanent];
}
