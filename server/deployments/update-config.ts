import { code, DirectorError } from '../core/errors';
import { optionalField, requiredField } from '../core/fields';
import type { Hash } from '../core/yaml';
import type { UpdateSpec } from '../instances/instance';
import type { Amount, UpdateConfig, VmStrategy, WatchTime } from './manifest';

/**
 * `update` blocks: how many instances at a time, and how long they may take.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/update_config.rb and numerical_value_calculator.rb.
 */

/** Values of a request that win over every `update` block, e.g. "2" or "50%". */
export interface UpdateOverrides {
  canaries?: string;
  maxInFlight?: string;
  /** Of the director, for deployments that do not say. */
  defaultVmStrategy?: VmStrategy;
}

/** Reads a block; what it lacks comes from `inherited`, and is required when there is none. */
export function parseUpdateConfig(spec: Hash, overrides: UpdateOverrides, inherited?: UpdateConfig): UpdateConfig {
  const text = (key: string) => (inherited ? optionalField(spec, key, 'String') : requiredField(spec, key, 'String'));
  const canaries = overrides.canaries ?? text('canaries');
  const maxInFlight = overrides.maxInFlight ?? text('max_in_flight');
  const canaryWatchTime = text('canary_watch_time');
  const updateWatchTime = text('update_watch_time');
  const fallback = (given: Amount | undefined, other: Amount | undefined): Amount => given ?? other ?? { count: 1 };
  const watch = (given: string | undefined, other: WatchTime | undefined): WatchTime => (given === undefined ? other : parseWatchTime(given)) ?? { minMs: 0, maxMs: 0 };
  return {
    canaries: fallback(amountOf('canaries', canaries), inherited?.canaries),
    maxInFlight: fallback(amountOf('max_in_flight', maxInFlight), inherited?.maxInFlight),
    canaryWatchTime: watch(canaryWatchTime, inherited?.canaryWatchTime),
    updateWatchTime: watch(updateWatchTime, inherited?.updateWatchTime),
    vmStrategy: parseVmStrategy(spec) ?? inherited?.vmStrategy ?? overrides.defaultVmStrategy ?? 'delete-create',
    serial: optionalField(spec, 'serial', 'boolean') ?? inherited?.serial ?? true,
    initialDeployAzUpdateStrategy: parseAzStrategy(spec) ?? inherited?.initialDeployAzUpdateStrategy ?? 'serial',
  };
}

/** How many of `size` instances a canaries setting means. */
export function canariesOf(update: UpdateConfig, size: number): number {
  return Math.max(0, Math.min(resolveAmount(update.canaries, size), size));
}

/** How many of `size` instances may be worked on at a time: at least one. */
export function maxInFlightOf(update: UpdateConfig, size: number): number {
  return Math.max(1, resolveAmount(update.maxInFlight, size));
}

/** The block as it is recorded with an instance. */
export function updateSpec(update: UpdateConfig): UpdateSpec {
  const amount = (value: Amount) => ('count' in value ? String(value.count) : `${value.percent}%`);
  const watch = (value: WatchTime) => `${value.minMs}-${value.maxMs}`;
  return {
    canaries: amount(update.canaries), max_in_flight: amount(update.maxInFlight),
    canary_watch_time: watch(update.canaryWatchTime), update_watch_time: watch(update.updateWatchTime),
    serial: update.serial, vm_strategy: update.vmStrategy, initial_deploy_az_update_strategy: update.initialDeployAzUpdateStrategy,
  };
}

function resolveAmount(amount: Amount, size: number): number {
  return 'count' in amount ? amount.count : Math.min(Math.floor((amount.percent * size) / 100), size);
}

function amountOf(key: string, text: string | undefined): Amount | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]+%$/.test(text)) return { percent: Number(text.slice(0, -1)) };
  if (/^[-+]?[0-9]+$/.test(text)) return { count: Number(text) };
  throw new DirectorError(code.validationInvalidValue, `${key} value '${text}' should be integer or percent`);
}

function parseWatchTime(text: string): WatchTime {
  const found = /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/.exec(text);
  if (!found) throw new DirectorError(180001, 'Watch time should be an integer or a range of two integers');
  const minMs = Number(found[1]);
  const maxMs = Number(found[2] ?? found[1]);
  if (minMs > maxMs) throw new DirectorError(180001, 'Min watch time cannot be greater than max watch time');
  return { minMs, maxMs };
}

function parseVmStrategy(spec: Hash): VmStrategy | undefined {
  const strategy = optionalField(spec, 'vm_strategy', 'String');
  if (strategy === undefined || strategy === 'create-swap-delete' || strategy === 'delete-create') return strategy;
  throw new DirectorError(code.validationInvalidValue, `Invalid vm_strategy '${strategy}', valid strategies are: create-swap-delete, delete-create`);
}

function parseAzStrategy(spec: Hash): 'serial' | 'parallel' | undefined {
  const strategy = optionalField(spec, 'initial_deploy_az_update_strategy', 'String');
  if (strategy === undefined || strategy === 'serial' || strategy === 'parallel') return strategy;
  throw new DirectorError(code.validationInvalidValue, `Invalid initial_deploy_az_update_strategy '${strategy}', valid strategies are: 'parallel, serial'`);
}
