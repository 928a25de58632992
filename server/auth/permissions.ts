import { DirectorError, code } from '../core/errors';

/**
 * Who may do what: BOSH's scopes and teams. A scope is `bosh.admin`, `bosh.read`, `bosh.<director uuid>.admin|read`,
 * `bosh.teams.<team>.admin|read` or one of a few narrow ones.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/permission_authorizer.rb.
 */

/** Someone who has proved who they are. */
export interface Principal {
  username: string;
  scopes: readonly string[];
}

export type Permission =
  | 'admin'
  | 'read'
  | 'list_deployments'
  | 'read_releases'
  | 'read_stemcells'
  | 'list_tasks'
  | 'read_events'
  | 'list_configs'
  | 'read_link'
  | 'create_deployment'
  | 'create_link'
  | 'delete_link'
  | 'update_configs'
  | 'upload_releases'
  | 'upload_stemcells'
  | 'dyn:create'
  | 'dyn:delete'
  | 'dyn:attach'
  | 'dyn:detach'
  | 'dyn:list'
  | 'dyn:provide'
  | 'dep:admin'
  | 'dep:read'
  | 'task:admin'
  | 'task:read'
  | 'config:admin'
  | 'config:read';

interface Rule {
  /** Scopes of which one suffices; a nested list must be held whole. These are named when access is refused. */
  scopes(uuid: string, teams: readonly string[]): readonly (string | readonly string[])[];
  /** Such a scope of any team suffices too; not named when access is refused. */
  anyTeam?: readonly ('admin' | 'read')[];
}

const admins = (uuid: string) => ['bosh.admin', `bosh.${uuid}.admin`];
const readers = (uuid: string) => ['bosh.read', `bosh.${uuid}.read`];
const of = (teams: readonly string[], verb: 'admin' | 'read') => teams.map((team) => `bosh.teams.${team}.${verb}`);

const admin: Rule = { scopes: admins };
const read: Rule = { scopes: (uuid) => [...admins(uuid), ...readers(uuid)] };
const readOrTeamAdmin: Rule = { ...read, anyTeam: ['admin'] };
const readOrTeam: Rule = { ...read, anyTeam: ['admin', 'read'] };
const teamAdmin: Rule = { ...admin, anyTeam: ['admin'] };
const also = (...scopes: (string | readonly string[])[]): Rule => ({ scopes: (uuid) => [...admins(uuid), ...scopes] });
const ownersAdmin: Rule = { scopes: (uuid, teams) => [...admins(uuid), ...of(teams, 'admin')] };
const ownersRead: Rule = { scopes: (uuid, teams) => [...admins(uuid), ...of(teams, 'admin'), ...of(teams, 'read'), ...readers(uuid)] };

const rules: Record<Permission, Rule> = {
  admin,
  read,
  list_deployments: readOrTeamAdmin,
  read_releases: readOrTeamAdmin,
  read_stemcells: readOrTeamAdmin,
  list_tasks: readOrTeamAdmin,
  read_events: readOrTeam,
  list_configs: readOrTeam,
  read_link: readOrTeam,
  create_deployment: teamAdmin,
  create_link: teamAdmin,
  delete_link: teamAdmin,
  update_configs: teamAdmin,
  upload_releases: also('bosh.releases.upload'),
  upload_stemcells: also('bosh.stemcells.upload'),
  'dyn:create': also('bosh.dynamic-disks.create'),
  'dyn:delete': also('bosh.dynamic-disks.delete'),
  'dyn:attach': also('bosh.dynamic-disks.attach'),
  'dyn:detach': also('bosh.dynamic-disks.detach'),
  'dyn:list': also('bosh.dynamic-disks.list'),
  'dyn:provide': also(['bosh.dynamic-disks.create', 'bosh.dynamic-disks.attach']),
  'dep:admin': ownersAdmin,
  'dep:read': ownersRead,
  'task:admin': ownersAdmin,
  'task:read': ownersRead,
  'config:admin': ownersAdmin,
  'config:read': ownersRead,
};

/** What is asked for: `teams` are the owners of the deployment, task or config, for the permissions that depend on them. */
export interface Access {
  permission: Permission;
  directorUuid: string;
  teams?: readonly string[];
}

/** True when one of the principal's scopes grants the access. */
export function isAllowed(principal: Principal, access: Access): boolean {
  const rule = rules[access.permission];
  const has = (scope: string) => principal.scopes.includes(scope);
  if (rule.scopes(access.directorUuid, access.teams ?? []).some((scope) => (typeof scope === 'string' ? has(scope) : scope.every(has)))) return true;
  return (rule.anyTeam ?? []).some((verb) => teamsWith(principal, verb).length > 0);
}

/** Scopes of which one is needed, as the refusal names them; those that belong together are `(a AND b)`. */
export function requiredScopes(access: Access): string {
  return rules[access.permission]
    .scopes(access.directorUuid, access.teams ?? [])
    .map((scope) => (typeof scope === 'string' ? scope : `(${scope.join(' AND ')})`))
    .join(', ');
}

/** Throws 600000 with the scopes that would suffice. */
export function requireAccess(principal: Principal, access: Access): void {
  if (!isAllowed(principal, access)) throw new DirectorError(code.unauthorizedToAccessDeployment, `Require one of the scopes: ${requiredScopes(access)}`);
}

/** Teams that the principal administers (`admin`) or may read (`read`), in the order of its scopes. */
export function teamsWith(principal: Principal, verb: 'admin' | 'read'): string[] {
  return principal.scopes.flatMap((scope) => {
    const team = /^bosh\.teams\.([^.]+)\.(admin|read)$/.exec(scope);
    return team?.[1] !== undefined && team[2] === verb ? [team[1]] : [];
  });
}
