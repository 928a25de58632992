import { code, DirectorError } from '../core/errors';

/**
 * Texts of rendering errors, nested two spaces per level.
 * Shapes: cloudfoundry/bosh src/bosh-director/lib/bosh/director/core/templates (source_erb.rb, job_template_renderer.rb,
 * job_instance_renderer.rb) and jobs/update_deployment.rb.
 */

/** A template that could not be rendered. `line` is a line of the template, or '(unknown)' when Ruby named none. */
export interface TemplateFailure {
  template: string;
  line: string;
  message: string;
}

/** All templates of one job that failed; a failing monit is alone, because it stops its job at once. */
export class RenderError extends Error {
  readonly jobName: string;
  readonly failures: readonly TemplateFailure[];
  readonly stage: RenderStage;

  constructor(jobName: string, failures: readonly TemplateFailure[], stage: RenderStage = 'templates') {
    super(jobErrorText(jobName, failures, stage));
    this.name = 'RenderError';
    this.jobName = jobName;
    this.failures = failures;
    this.stage = stage;
  }
}

/** `properties`: they do not fit their schema, and nothing was rendered. */
export type RenderStage = 'properties' | 'monit' | 'templates';

/** `- Unable to render templates for job 'x'. Errors are:` and its entries; bare lines when it was monit that failed. */
export function jobErrorText(jobName: string, failures: readonly TemplateFailure[], stage: RenderStage): string {
  if (stage === 'properties') return failures.map(({ message }) => message).join('\n');
  const lines = failures.map((failure) => failureText(failure).trim());
  if (stage === 'monit') return lines.join('\n');
  return withHeader(`- Unable to render templates for job '${jobName}'. Errors are:`, lines.map((line) => `- ${line}`));
}

/** The same header over lines that are entries already: variables that cannot be had take the place of templates. */
export function jobErrorTextOf(jobName: string, entries: string): string {
  return withHeader(`- Unable to render templates for job '${jobName}'. Errors are:`, [entries.trim()]);
}

/** Variables in the properties of a link that cannot be had; stands beside the entries of jobs. */
export function linkErrorText(linkName: string, deployment: string, entries: string): string {
  return withHeader(`- Unable to interpolate link '${linkName}' properties; provided by '${deployment}' deployment. Errors are:`, [entries.trim()]);
}

/** Text for one instance group: `jobErrors` are the messages of its failing jobs, in job order. */
export function groupErrorText(groupName: string, jobErrors: readonly string[]): string {
  return withHeader(`- Unable to render jobs for instance group '${groupName}'. Errors are:`, jobErrors.map((text) => text.trim()));
}

/** The error that ends the deploy: `groupErrors` come from `groupErrorText`, in manifest order. */
export function deploymentRenderError(groupErrors: readonly string[]): DirectorError {
  return new DirectorError(code.generic, withHeader('Unable to render instance groups for deployment. Errors are:', groupErrors.map((text) => text.trim())));
}

function failureText({ template, line, message }: TemplateFailure): string {
  return `Error filling in template '${template}' (line ${line}: ${message})`;
}

function withHeader(header: string, entries: readonly string[]): string {
  const body = entries.join('\n').trim();
  return `${header}\n${body.split('\n').map((line) => `  ${line}`).join('\n')}`;
}
