import { isHash } from '../core/yaml';

/**
 * Whether VMs that are down shall be made anew. Arithmetic and rules: cloudfoundry/bosh
 * src/bosh-monitor/lib/bosh/monitor/plugins/resurrector_helper.rb and resurrection_manager.rb.
 */

export interface MeltdownLimits {
  /** So many instances at least, … */
  minimumDownJobs: number;
  /** … which are at least this part of the deployment. */
  percentThreshold: number;
  /** How long an instance counts after it was down, s. */
  timeThreshold: number;
}

/** An instance was down; times are epoch s. */
export interface Downtime {
  /** Uuid of the instance. */
  instance: string;
  /** Undefined: it is down still. */
  until: number | undefined;
}

export interface DeploymentHistory {
  /** Uuids of the instances that have a VM or should have one. */
  members: readonly string[];
  downtimes: readonly Downtime[];
}

export interface Verdict {
  /** `meltdown`: too much is down for making VMs anew to be of help. */
  state: 'normal' | 'managed' | 'meltdown';
  agents: number;
  /** Members that are down or were so lately. */
  unhealthy: number;
}

export function judge({ members, downtimes }: DeploymentHistory, limits: MeltdownLimits, now: number): Verdict {
  // Whole seconds, as there: an instance counts until the last of them is over.
  const since = Math.floor(now - limits.timeThreshold);
  const lately = new Set(downtimes.filter(({ until }) => until === undefined || Math.floor(until) >= since).map(({ instance }) => instance));
  const agents = members.length;
  const unhealthy = members.filter((member) => lately.has(member)).length;
  const meltdown = unhealthy > 0 && unhealthy >= limits.minimumDownJobs && unhealthy / agents >= limits.percentThreshold;
  return { state: meltdown ? 'meltdown' : unhealthy > 0 ? 'managed' : 'normal', agents, unhealthy };
}

/** The end of every summary: `deployment: 'dep'; 5 of 10 agents are unhealthy (50.0%)`. */
export function verdictText(deployment: string, { agents, unhealthy }: Verdict): string {
  const percent = agents === 0 ? 0 : (unhealthy / agents) * 100;
  return `deployment: '${deployment}'; ${unhealthy} of ${agents} agents are unhealthy (${percent.toFixed(1)}%)`;
}

/** What one filter of a rule names; an empty list names everything. */
export interface RuleFilter {
  deployments: readonly string[];
  groups: readonly string[];
}

/** A rule of a resurrection config. */
export interface ResurrectionRule {
  enabled: boolean;
  include: RuleFilter;
  exclude: RuleFilter;
}

/** The rules of a config's content; those that cannot be understood are left out and named in `problems`. */
export function parseRules(document: unknown): { rules: ResurrectionRule[]; problems: string[] } {
  const list = isHash(document) ? document.rules : undefined;
  if (!Array.isArray(list)) return { rules: [], problems: ["a resurrection config must have a list 'rules'"] };
  const parsed = list.map(parseRule);
  return { rules: parsed.filter((one) => typeof one !== 'string'), problems: parsed.filter((one) => typeof one === 'string') };
}

function parseRule(rule: unknown): ResurrectionRule | string {
  if (!isHash(rule) || !('enabled' in rule)) return "Required property 'enabled' was not specified in object";
  const { enabled } = rule;
  if (typeof enabled !== 'boolean') return `Property 'enabled' value (${JSON.stringify(enabled)}) did not match the required type 'Boolean'`;
  const include = parseFilter(rule.include);
  const exclude = parseFilter(rule.exclude);
  if (include === undefined || exclude === undefined) return "'include' and 'exclude' may have lists of names under 'deployments' and 'instance_groups'";
  return { enabled, include, exclude };
}

function parseFilter(filter: unknown): RuleFilter | undefined {
  if (filter === undefined) return { deployments: [], groups: [] };
  if (!isHash(filter)) return undefined;
  const deployments = names(filter.deployments);
  const groups = names(filter.instance_groups);
  return deployments && groups && { deployments, groups };
}

function names(list: unknown): string[] | undefined {
  if (list === undefined || list === null) return [];
  return Array.isArray(list) ? list.map(String) : undefined;
}

/** Whether VMs of a group may be made anew: every rule that applies must say so. */
export function isResurrectionEnabled(rules: readonly ResurrectionRule[], deployment: string, group: string): boolean {
  return rules.every((rule) => rule.enabled || !applies(rule, deployment, group));
}

function applies({ include, exclude }: ResurrectionRule, deployment: string, group: string): boolean {
  const excluded = !isEmpty(exclude) && matches(exclude, deployment, group);
  return matches(include, deployment, group) && !excluded;
}

function isEmpty({ deployments, groups }: RuleFilter): boolean {
  return deployments.length === 0 && groups.length === 0;
}

function matches({ deployments, groups }: RuleFilter, deployment: string, group: string): boolean {
  return (groups.length === 0 || groups.includes(group)) && (deployments.length === 0 || deployments.includes(deployment));
}
