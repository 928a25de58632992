import { compareText } from '../core/collections';
import type { TaskContext } from '../tasks/context';
import { createLinkResolver, createResolver, type Resolver, type SetResolverDeps } from '../variables/resolve';
import { closeVariableSet, deleteUnusedSets, findNewestSet, findSuccessfulSet, findVariableSet, fixVersion, openVariableSet, type FixedName, type VariableSet } from '../variables/store';
import type { DeployDeps } from './ports';
import { findDeployment, listStemcellsInUse, moveToVariableSet, type DeploymentRow } from './store';

/** What an action on a deployment needs of its variables. */
export interface DeploymentVariables {
  /** The set whose versions count; undefined where the deployment has none. To be noted with what is made with it. */
  setId: number | undefined;
  /** For what is the deployment's own. */
  own: Resolver;
  /** For properties of a link that the deployment of this name provides. */
  ofProvider(deployment: string): Promise<Resolver>;
  /** The deployment's own with the versions of another of its sets. */
  inSet(setId: number | null): Promise<Resolver>;
}

/**
 * The variables of a deploy, in a set of its own: versions are fixed as they are used, until `closeVariables`. Another attempt of the
 * task goes on with the set of the first. What a dead task leaves writable is closed by the next deploy; nobody else writes to it.
 */
export async function openVariables(ctx: TaskContext, deps: DeployDeps, deployment: DeploymentRow): Promise<DeploymentVariables> {
  const set = await ctx.write((tx) => openVariableSet(tx, deployment.id, ctx.taskId));
  return variablesOf(deps, deployment, set, accessOf(ctx));
}

/**
 * The variables of an action other than a deploy: nothing new is fixed. The versions are those of the set, else of the last deploy that
 * succeeded, else of the last one. @param setId of the instance that is worked on
 */
export async function recordedVariables(ctx: TaskContext, deps: DeployDeps, deployment: DeploymentRow, setId?: number | null): Promise<DeploymentVariables> {
  const set = (setId ? await findVariableSet(deps.db, setId) : undefined) ?? (await findSuccessfulSet(deps.db, deployment.id)) ?? (await findNewestSet(deps.db, deployment.id));
  return variablesOf(deps, deployment, set && { ...set, writable: false }, accessOf(ctx));
}

/** No more versions are fixed in the set. After success, sets that nothing was made with any more are forgotten. */
export async function closeVariables(ctx: TaskContext, deployment: DeploymentRow, variables: DeploymentVariables, success: boolean): Promise<void> {
  const { setId } = variables;
  if (setId === undefined) return;
  await ctx.write(async (tx) => {
    await closeVariableSet(tx, setId, success);
    if (!success) return;
    await moveToVariableSet(tx, deployment.id, setId);
    await deleteUnusedSets(tx, deployment.id, [setId]);
  });
}

/** A set of nothing, for deployments without one: every name is refused as not versioned. */
const noSet: VariableSet = { id: 0, writable: false };

/** What resolving does beside reading. */
export interface VariableAccess extends Pick<SetResolverDeps, 'hide' | 'mayLack'> {
  fix(setId: number, fixed: FixedName): Promise<string>;
}

function accessOf(ctx: TaskContext): VariableAccess {
  return {
    hide: (value, placeholder) => ctx.secrets.addAll(value, placeholder),
    fix: (setId, fixed) => ctx.uncancellable().write((tx) => fixVersion(tx, setId, fixed)),
  };
}

/** What of the outside world resolving asks. */
export type VariableDeps = Pick<DeployDeps, 'db' | 'variables' | 'settings'>;

export function variablesOf(deps: VariableDeps, deployment: Pick<DeploymentRow, 'name'>, set: VariableSet | undefined, access: VariableAccess): DeploymentVariables {
  const parts = (of: VariableSet = noSet): SetResolverDeps => ({
    db: deps.db, backend: deps.variables, set: of, scope: { director: deps.settings.director.name, deployment: deployment.name },
    hide: access.hide, mayLack: access.mayLack, fix: (fixed) => access.fix(of.id, fixed),
  });
  const own = createResolver(parts(set));
  const providers = new Map<string, Promise<Resolver>>();
  const others = new Map<number | null, Promise<Resolver>>();
  return {
    setId: set?.id, own,
    ofProvider: (name) => (name === deployment.name ? Promise.resolve(own) : remembered(providers, name, async () => {
      const provider = await findDeployment(deps.db, name);
      return createLinkResolver(parts(set), name, provider && (await findSuccessfulSet(deps.db, provider.id)));
    })),
    inSet: (id) => (id !== null && id === set?.id ? Promise.resolve(own) : remembered(others, id, async () => {
      const other = id === null ? undefined : await findVariableSet(deps.db, id);
      return createResolver(parts(other && { ...other, writable: false }));
    })),
  };
}

function remembered<K, V>(known: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const present = known.get(key);
  if (present) return present;
  const making = make();
  known.set(key, making);
  making.catch(() => known.delete(key));
  return making;
}

/**
 * The set of variables that what is recorded of the instance belongs to. It changes together with the record of its VM and not before:
 * the next plan compares with the values that the VM was made with.
 */
export function setOf({ variables }: { variables: Pick<DeploymentVariables, 'setId'> }): { variableSetId?: number } {
  return variables.setId === undefined ? {} : { variableSetId: variables.setId };
}

const stemcellsKey = 'variables/stemcells';

/** Stemcells (`os/version`) that the deployment had when the task began: binding records the new ones. To be asked for before that. */
export async function stemcellsBefore(ctx: TaskContext, deps: DeployDeps, deployment: DeploymentRow): Promise<readonly string[]> {
  const known = ctx.remembered(stemcellsKey);
  if (Array.isArray(known)) return known.map(String);
  const found = (await listStemcellsInUse(deps.db, deployment.id)).map(({ os, version }) => `${os}/${version}`).sort(compareText);
  await ctx.remember(stemcellsKey, found);
  return found;
}
