import { describe, expect, test } from 'vitest';
import { natsAuthFile } from './users';
import { countAgents, distrust } from './users-guard';

const directorSubject = 'C=USA, O=Cloud Foundry, CN=default.director.bosh-internal';
const agents = [{ agentId: 'a', bootstrap: false }];
const full = natsAuthFile({ directorSubject, agents });
const bare = natsAuthFile({ directorSubject, agents: [] });
const origin = { director: 'd1', revision: 10 };

describe('a users file', () => {
  test.each([[undefined, undefined], ['', undefined], ['{"authorization":', undefined], ['{}', undefined], [natsAuthFile({ agents: [] }), undefined], [bare, 0], [full, 1]])('%j lets in %j agents', (content, count) => {
    expect(countAgents(content)).toBe(count);
  });
});

describe('the database', () => {
  test.each([
    ['goes on', { director: 'd1', revision: 11, agents }],
    ['lost its last deployment', { director: 'd1', revision: 11, agents: [] }],
    ['went back and knows agents', { director: 'd1', revision: 3, agents }],
  ])('is followed when it %s', (_what, told) => {
    expect(distrust(full, origin, told)).toBeUndefined();
  });

  test.each([
    ['of another director', { director: 'd2', revision: 90, agents }, /of director d2, the users file was made for director d1.*remove the users file/],
    ['new and empty', { director: undefined, revision: 0, agents: [] }, /of no director/],
    ['older than the first deployment', { director: 'd1', revision: 3, agents: [] }, /gone back from revision 10 to 3 and knows no agents/],
  ])('is not believed when it is %s', (_what, told, reason) => {
    expect(distrust(full, origin, told)).toMatch(reason);
  });

  test.each([['missing', undefined], ['empty', ''], ['damaged', full.slice(0, 50)], ['without agents', bare]])('replaces a file that is %s, whatever it says', (_what, current) => {
    expect(distrust(current, origin, { director: 'd2', revision: 0, agents: [] })).toBeUndefined();
  });

  test('replaces a file of unknown origin', () => {
    expect(distrust(full, undefined, { director: 'd1', revision: 0, agents: [] })).toBeUndefined();
  });
});
