import { expect, test } from 'vitest';
import { deploymentRenderError, groupErrorText, RenderError } from './errors';

test('errors nest two spaces per level, from template to deployment', () => {
  const nginx = new RenderError('nginx', [
    { template: 'nginx.conf.erb', line: '3', message: `Can't find property '["port"]'` },
    { template: 'pre-start.erb', line: '1', message: `Can't find link 'db'` },
  ]);
  const monit = new RenderError('agent', [{ template: 'monit', line: '(unknown)', message: 'first\n\nthird' }], 'monit');
  const error = deploymentRenderError([groupErrorText('web', [nginx.message, monit.message]), groupErrorText('db', [nginx.message])]);
  expect(error.code).toBe(100);
  expect(error.message).toBe(`Unable to render instance groups for deployment. Errors are:
  - Unable to render jobs for instance group 'web'. Errors are:
    - Unable to render templates for job 'nginx'. Errors are:
      - Error filling in template 'nginx.conf.erb' (line 3: Can't find property '["port"]')
      - Error filling in template 'pre-start.erb' (line 1: Can't find link 'db')
    Error filling in template 'monit' (line (unknown): first
    
    third)
  - Unable to render jobs for instance group 'db'. Errors are:
    - Unable to render templates for job 'nginx'. Errors are:
      - Error filling in template 'nginx.conf.erb' (line 3: Can't find property '["port"]')
      - Error filling in template 'pre-start.erb' (line 1: Can't find link 'db')`);
});
