import { describe, expect, it } from 'vitest';
import { createPathTemplate } from './path-template';

const template = createPathTemplate({
  routes: ['/info', '/deployments', '/deployments/:deployment', '/deployments/:deployment/jobs/:job/:id', '/tasks/:task', '/tasks/:task/output', '/releases/:name', '/packages/blobs/:id', '/tasks/cancel'],
  procedures: ['tasks.list', 'cluster.overview'],
});

describe('the path of a request as a label', () => {
  it.each([
    ['/', '/'],
    ['/info', '/info'],
    ['/metrics', '/metrics'],
    ['/deployments', '/deployments'],
    ['/deployments/cf', '/deployments/:deployment'],
    ['/deployments/17', '/deployments/:deployment'],
    ['/deployments/cf/jobs/router/0', '/deployments/:deployment/jobs/:job/:id'],
    ['/deployments/cf/jobs/router/2f7f4d44-06c3-4f4f-9d3e-8a51e3b4a1c5', '/deployments/:deployment/jobs/:job/:uuid'],
    ['/tasks/123', '/tasks/:id'],
    ['/tasks/123/output', '/tasks/:id/output'],
    ['/releases/bpm', '/releases/:name'],
    ['/packages/blobs/2F7F4D44-06C3-4F4F-9D3E-8A51E3B4A1C5', '/packages/blobs/:uuid'],
    ['/console', '/console'],
    ['/console/deployments/cf', '/console'],
    ['/_next/static/chunks/1.js', '/_next'],
    ['/api/trpc/tasks.list', '/api/trpc/tasks.list'],
    ['/api/trpc/tasks.list,cluster.overview,tasks.list', '/api/trpc/:batch'],
  ])('%s is %s', (path, label) => {
    expect(template(path)).toBe(label);
  });

  it.each(['/nothing', '/deployments/', '/deployments/cf/unheard-of', '/consoles', '/api/trpc/', '/api/trpc/tasks.steal', '/api/trpc/tasks.list,tasks.steal', '//', '/wp-login.php'])('%s, which is nothing of ours, is other', (path) => {
    expect(template(path)).toBe('other');
  });

  it('has few labels however many paths are asked for', () => {
    const labels = new Set(Array.from({ length: 10_000 }, (_, i) => template(`/${['deployments', 'tasks', 'releases', `x${i}`, 'api/trpc'][i % 5]}/name-${i}`)));
    expect([...labels].sort()).toEqual(['/deployments/:deployment', '/releases/:name', '/tasks/:task', 'other']);
  });
});
