import { X509Certificate } from 'node:crypto';
import { isAllowed } from '../auth/permissions';
import { isHash } from '../core/yaml';
import { findSuccessfulSet, listDeploymentVersions, listSet, listUsers } from '../variables/store';
import type { ApiDeps } from './deps';
import { json, type Reply } from './reply';
import { deploymentOf, type ApiRequest } from './route';

/** Names and versions of variables; values are never answered. */

/** Every version that a set of the deployment holds. */
export async function listOfDeployment(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const found = await listDeploymentVersions(deps.db, deploymentOf(request).id);
  const once = new Map(found.map(({ id, name }) => [JSON.stringify([id, name]), { id, name }]));
  return json([...once.values()]);
}

const dayMs = 86_400_000;

/**
 * When the certificates end that the last successful deploy used.
 * Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/deployment_certificate_provider.rb.
 */
export async function certificateExpiry(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const set = await findSuccessfulSet(deps.db, deploymentOf(request).id);
  const found = set ? await listSet(deps.db, set.id) : [];
  const certificates = await Promise.all(found.map(async ({ id, name }) => {
    const expiry = expiryOf((await deps.variables.version(id, name)).value);
    return expiry ? [{ name, id, expiry_date: `${expiry.toISOString().slice(0, 19)}Z`, days_left: Math.floor((expiry.getTime() - deps.clock.now()) / dayMs) }] : [];
  }));
  return json(certificates.flat());
}

function expiryOf(value: unknown): Date | undefined {
  if (!isHash(value) || typeof value.certificate !== 'string') return undefined;
  try {
    return new Date(new X509Certificate(value.certificate).validTo);
  } catch {
    return undefined;
  }
}

/** Deployments that use a variable, as far as the caller may read them. */
export async function listDeployments(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const users = await listUsers(deps.db, request.param('name'));
  const visible = users.filter(({ teams }) => isAllowed(request.principal, { permission: 'dep:read', directorUuid: deps.director.uuid, teams }));
  return json({ deployments: visible.map(({ deployment, id }) => ({ name: deployment, version: id })) });
}
