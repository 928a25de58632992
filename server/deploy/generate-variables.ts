import type { Hash } from '../core/yaml';
import { recordEvent } from '../events/store';
import type { Plan } from '../plan/types';
import type { PlannedVariable } from '../plan/variable-types';
import type { TaskContext } from '../tasks/context';
import { absoluteName } from '../variables/placeholders';
import { findSetBefore, fixVersion, listSetVersions } from '../variables/store';
import type { DeployDeps } from './ports';
import type { DeploymentRow } from './store';
import type { DeploymentVariables } from './variables';

export interface GenerateOrder {
  deployment: DeploymentRow;
  variables: DeploymentVariables;
  plan: Pick<Plan, 'variables' | 'stemcells'>;
  /** `os/version` of all stemcells before this deploy. */
  stemcellsBefore: readonly string[];
  /** As if all stemcells had changed. */
  forceLatest: boolean;
}

/**
 * Gives every defined variable a version in the deploy's set, one after another: a CA comes before what it signs.
 * A node that dies between the generation and the record leaves a version that is used (or, with `overwrite`, replaced) by the next
 * attempt; what an earlier attempt has recorded stays.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/config_server/client.rb.
 */
export async function generateVariables(ctx: TaskContext, deps: DeployDeps, order: GenerateOrder): Promise<void> {
  const { setId } = order.variables;
  if (setId === undefined || order.plan.variables.length === 0) return;
  const recorded = ctx.attempt > 1 ? await listSetVersions(deps.db, setId) : new Map<string, string>();
  const before = await findSetBefore(deps.db, order.deployment.id, setId);
  const previous = before ? await listSetVersions(deps.db, before.id) : new Map<string, string>();
  const changed = order.forceLatest || stemcellsChanged(order);
  for (const variable of order.plan.variables) {
    if (recorded.has(variable.name)) continue;
    await ctx.checkpoint();
    const kept = variable.strategy === 'on-stemcell-change' && !changed ? previous.get(variable.name) : undefined;
    const id = kept ?? (await generate(ctx, deps, order, variable));
    await ctx.write(async (tx) => {
      await fixVersion(tx, setId, { name: variable.name, id });
      await recordEvent(tx, {
        user: ctx.user, action: 'create', objectType: 'variable', objectName: variable.name, taskId: ctx.taskId, deployment: order.deployment.name,
        context: { update_strategy: variable.strategy, latest_version: kept === undefined, name: variable.name, id },
      });
    });
  }
}

/** True when none of the stemcells was there before. */
function stemcellsChanged({ stemcellsBefore, plan }: GenerateOrder): boolean {
  return !plan.stemcells.some(({ os, version }) => stemcellsBefore.includes(`${os}/${version}`));
}

async function generate(ctx: TaskContext, deps: DeployDeps, { deployment, variables }: GenerateOrder, variable: PlannedVariable): Promise<string> {
  const { name, type, mode } = variable;
  const options = await variables.own.resolve(variable.options);
  const scope = { director: deps.settings.director.name, deployment: deployment.name };
  const parameters = type === 'certificate' ? certificateOptions(options, variable, (ca) => absoluteName(ca, scope)) : options;
  await ctx.fence();
  const { id, value } = await deps.variables.generate({ name, type, parameters, mode });
  ctx.secrets.addAll(value, `((${name}))`);
  return id;
}

function certificateOptions(options: Hash, { addresses }: PlannedVariable, absolute: (name: string) => string): Hash {
  const alternatives = addresses.filter(({ as }) => as === 'alternative_name').map(({ address }) => address);
  const common = addresses.find(({ as }) => as === 'common_name')?.address;
  const given: unknown[] = Array.isArray(options.alternative_names) ? options.alternative_names : [];
  return {
    ...options,
    ...(typeof options.ca === 'string' && options.ca !== '' ? { ca: absolute(options.ca) } : {}),
    ...(alternatives.length > 0 ? { alternative_names: [...given, ...alternatives] } : {}),
    ...(common !== undefined && !options.common_name ? { common_name: common } : {}),
  };
}
