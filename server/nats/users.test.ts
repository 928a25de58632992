import { expect, test } from 'vitest';
import { natsAuthFile } from './users';

const directorSubject = 'C=USA, O=Cloud Foundry, CN=default.director.bosh-internal';
const hmSubject = 'C=USA, O=Cloud Foundry, CN=default.hm.bosh-internal';

test('the director, the health monitor and each agent get what the stock permissions give them', () => {
  const file: unknown = JSON.parse(natsAuthFile({ directorSubject, hmSubject, agents: [{ agentId: 'A1', bootstrap: true }] }));
  const permissions = {
    publish: ['hm.agent.heartbeat.A1', 'hm.agent.alert.A1', 'hm.agent.shutdown.A1', 'director.*.A1.*'],
    subscribe: ['agent.A1'],
  };
  expect(file).toEqual({
    authorization: {
      users: [
        { user: directorSubject, permissions: { publish: ['agent.*', 'hm.director.alert'], subscribe: ['director.>'] } },
        { user: hmSubject, permissions: { publish: [], subscribe: ['hm.agent.heartbeat.*', 'hm.agent.alert.*', 'hm.agent.shutdown.*', 'hm.director.alert'] } },
        { user: 'C=USA, O=Cloud Foundry, CN=A1.bootstrap.agent.bosh-internal', permissions },
        { user: 'C=USA, O=Cloud Foundry, CN=A1.agent.bosh-internal', permissions },
      ],
    },
  });
});

test('an agent with permanent credentials loses its bootstrap entry', () => {
  const text = natsAuthFile({ directorSubject, hmSubject, agents: [{ agentId: 'A1', bootstrap: false }] });
  expect(text).toContain('CN=A1.agent.bosh-internal');
  expect(text).not.toContain('bootstrap');
});

test('the order of the agents does not change the text', () => {
  const a = { agentId: 'A', bootstrap: false };
  const b = { agentId: 'B', bootstrap: true };
  expect(natsAuthFile({ agents: [a, b] })).toBe(natsAuthFile({ agents: [b, a] }));
});

test('a missing subject leaves its entry out', () => {
  expect(JSON.parse(natsAuthFile({ directorSubject: '', agents: [] }))).toEqual({ authorization: { users: [] } });
});
