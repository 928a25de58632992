import { expect, test } from 'vitest';
import { agentIdOf } from './agent-paths';

const id = '6dca3c1c-0000-4000-8000-00000000000a';

test.each([
  [`C=USA, O=Cloud Foundry, CN=${id}.agent.bosh-internal`, id],
  [`C=USA, O=Cloud Foundry, CN=${id}.bootstrap.agent.bosh-internal`, id],
  [`CN=${id}.agent.bosh-internal,O=Cloud Foundry,C=USA`, id],
  ['C=USA, O=Cloud Foundry, CN=default.director.bosh-internal', undefined],
  [`C=USA, O=Cloud Foundry, CN=${id}.agent.bosh-internal.example`, undefined],
  [`C=USA, O=Cloud Foundry, CN=x${id}.agent.bosh-internal`, undefined],
  ['', undefined],
])('the agent of %s', (user, agent) => {
  expect(agentIdOf(user)).toBe(agent);
});
