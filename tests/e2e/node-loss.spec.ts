import { expect, killNode, startDeploy, strip, test } from './console';

test('a page lives on when the node that serves it is killed, and so does the deploy that it shows', async ({ page, system }) => {
  test.setTimeout(180_000);
  const task = await startDeploy(system, { name: 'e2e-loss', port: 18_420, instances: 3, watchMs: 4_000 });
  await page.goto(`/console/tasks/${task}`);
  const log = page.getByRole('log');
  await expect(log.getByText(/Updating instance|Creating missing vms/).first()).toBeVisible({ timeout: 30_000 });

  const badge = page.getByRole('main').getByTitle(/^Node [ABC] \(/).first();
  const victim = /[ABC]$/.exec((await badge.innerText()).trim())?.[0] ?? 'none';
  const lines = await log.locator('[data-at]').count();
  killNode(system, victim);

  // What was known stays in sight throughout.
  await expect(strip(page).getByRole('link', { name: new RegExp(`node ${victim}.*(lost|starting)`) })).toBeVisible({ timeout: 15_000 });
  await expect(page.getByRole('heading', { name: new RegExp(`Task ${task}`) })).toBeVisible();
  expect(await log.locator('[data-at]').count()).toBeGreaterThanOrEqual(lines);

  await expect(page.getByRole('figure', { name: 'Time ribbon' })).toContainText(new RegExp(`took over from ${victim} after`), { timeout: 20_000 });
  await expect.poll(() => log.locator('[data-at]').count(), { timeout: 30_000 }).toBeGreaterThan(lines);
  await expect(page.getByRole('main').getByText('done', { exact: true }).first()).toBeVisible({ timeout: 90_000 });
  expect((await system.cli.follow(task)).state).toBe('done');
  await expect(strip(page).getByRole('link', { name: new RegExp(`node ${victim}.*ready`) })).toBeVisible({ timeout: 30_000 });
});

test('killing every node one after the other never blanks a page', async ({ page, system }) => {
  test.setTimeout(180_000);
  await page.goto('/console/cluster');
  await expect(page.getByRole('list', { name: 'Components' }).getByRole('listitem').first()).toBeVisible();
  for (const name of ['A', 'B', 'C']) {
    killNode(system, name);
    await expect(strip(page).getByRole('link', { name: new RegExp(`node ${name}.*(lost|starting)`) })).toBeVisible({ timeout: 15_000 });
    await expect(page.getByRole('list', { name: 'Components' }).getByRole('listitem').first()).toBeVisible();
    await expect(strip(page).getByRole('link', { name: new RegExp(`node ${name}.*ready`) })).toBeVisible({ timeout: 30_000 });
  }
});
