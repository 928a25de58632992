import { describe, expect, it } from 'vitest';
import { isAllowed, requireAccess, requiredScopes, teamsWith, type Permission } from './permissions';

const uuid = 'deadbeef';
const may = (permission: Permission, scopes: string[], teams: string[] = []) => isAllowed({ username: 'x', scopes }, { permission, directorUuid: uuid, teams });

describe('permissions', () => {
  const all: Permission[] = [
    'admin', 'read', 'list_deployments', 'read_releases', 'read_stemcells', 'list_tasks', 'read_events', 'list_configs', 'read_link', 'create_deployment', 'create_link', 'delete_link',
    'update_configs', 'upload_releases', 'upload_stemcells', 'dyn:create', 'dyn:delete', 'dyn:attach', 'dyn:detach', 'dyn:list', 'dyn:provide', 'dep:admin', 'dep:read', 'task:admin', 'task:read',
    'config:admin', 'config:read',
  ];
  const granted = (scopes: string[]) => all.filter((permission) => may(permission, scopes, ['a', 'b']));

  it('lets administrators do everything', () => {
    expect(granted(['bosh.admin'])).toEqual(all);
    expect(granted([`bosh.${uuid}.admin`])).toEqual(all);
  });

  it.each<[string, string[], Permission[]]>([
    ['nobody', [], []],
    ['an administrator of another director', ['bosh.other.admin', 'bosh.other.read'], []],
    ['a reader', ['bosh.read'], ['read', 'list_deployments', 'read_releases', 'read_stemcells', 'list_tasks', 'read_events', 'list_configs', 'read_link', 'dep:read', 'task:read', 'config:read']],
    ['a reader of this director', [`bosh.${uuid}.read`], ['read', 'list_deployments', 'read_releases', 'read_stemcells', 'list_tasks', 'read_events', 'list_configs', 'read_link', 'dep:read', 'task:read', 'config:read']],
    [
      'an administrator of a team that owns the object',
      ['bosh.teams.b.admin'],
      ['list_deployments', 'read_releases', 'read_stemcells', 'list_tasks', 'read_events', 'list_configs', 'read_link', 'create_deployment', 'create_link', 'delete_link', 'update_configs', 'dep:admin', 'dep:read', 'task:admin', 'task:read', 'config:admin', 'config:read'],
    ],
    [
      'an administrator of another team',
      ['bosh.teams.c.admin'],
      ['list_deployments', 'read_releases', 'read_stemcells', 'list_tasks', 'read_events', 'list_configs', 'read_link', 'create_deployment', 'create_link', 'delete_link', 'update_configs'],
    ],
    ['a reader of a team that owns the object', ['bosh.teams.a.read'], ['read_events', 'list_configs', 'read_link', 'dep:read', 'task:read', 'config:read']],
    ['a team name with a dot', ['bosh.teams.a.b.admin'], []],
    ['an uploader of releases', ['bosh.releases.upload'], ['upload_releases']],
    ['an uploader of stemcells', ['bosh.stemcells.upload'], ['upload_stemcells']],
    ['somebody who creates dynamic disks', ['bosh.dynamic-disks.create'], ['dyn:create']],
    ['somebody who creates and attaches dynamic disks', ['bosh.dynamic-disks.create', 'bosh.dynamic-disks.attach'], ['dyn:create', 'dyn:attach', 'dyn:provide']],
  ])('grants %s exactly their permissions', (_, scopes, expected) => {
    expect(granted(scopes).toSorted()).toEqual(expected.toSorted());
  });

  it.each<[Permission, string[], string]>([
    ['admin', [], 'bosh.admin, bosh.deadbeef.admin'],
    ['list_tasks', [], 'bosh.admin, bosh.deadbeef.admin, bosh.read, bosh.deadbeef.read'],
    ['create_deployment', [], 'bosh.admin, bosh.deadbeef.admin'],
    ['upload_releases', [], 'bosh.admin, bosh.deadbeef.admin, bosh.releases.upload'],
    ['dyn:provide', [], 'bosh.admin, bosh.deadbeef.admin, (bosh.dynamic-disks.create AND bosh.dynamic-disks.attach)'],
    ['dep:admin', ['ateam'], 'bosh.admin, bosh.deadbeef.admin, bosh.teams.ateam.admin'],
    ['dep:read', ['ateam'], 'bosh.admin, bosh.deadbeef.admin, bosh.teams.ateam.admin, bosh.teams.ateam.read, bosh.read, bosh.deadbeef.read'],
  ])('names the scopes that %s needs', (permission, teams, expected) => {
    expect(requiredScopes({ permission, directorUuid: uuid, teams })).toBe(expected);
  });

  it('refuses with 401 and code 600000', () => {
    expect(() => requireAccess({ username: 'x', scopes: [] }, { permission: 'admin', directorUuid: uuid })).toThrow(expect.objectContaining({ code: 600000, status: 401 }));
  });

  it('tells the teams of a principal in the order of its scopes', () => {
    const principal = { username: 'x', scopes: ['bosh.teams.z.admin', 'openid', 'bosh.teams.a.admin', 'bosh.teams.r.read'] };
    expect(teamsWith(principal, 'admin')).toEqual(['z', 'a']);
    expect(teamsWith(principal, 'read')).toEqual(['r']);
  });
});
