import { expect, startDeploy, test } from './console';

test('filters are in the URL and survive a reload', async ({ page }) => {
  await page.goto('/console/tasks');
  await page.getByRole('button', { name: 'Done', exact: true }).click();
  await page.getByLabel('Type').selectOption('update_deployment');
  await expect(page).toHaveURL(/state=done/);
  await expect(page).toHaveURL(/type=update_deployment/);
  await expect(page.getByRole('row', { name: /create deployment/ }).first()).toBeVisible();
  await expect(page.getByRole('row', { name: /create release/ })).toHaveCount(0);
  await page.reload();
  await expect(page.getByRole('button', { name: 'Done', exact: true })).toHaveAttribute('aria-pressed', 'true');
  await expect(page.getByLabel('Type')).toHaveValue('update_deployment');
  await page.getByLabel('User').fill('nobody-at-all');
  await expect(page).toHaveURL(/user=nobody-at-all/);
  await expect(page.getByText('No such task')).toBeVisible();
  await page.getByRole('button', { name: 'Clear' }).click();
  await expect(page.getByRole('row', { name: /create release/ }).first()).toBeVisible();
});

test('new tasks wait behind a button instead of moving the rows', async ({ page, system }) => {
  await page.goto('/console/tasks');
  const first = page.locator('tbody tr').first();
  const before = await first.locator('a').first().innerText();
  const task = await system.cli.start('GET', '/deployments/hello/vms?format=full');
  const pending = page.getByRole('button', { name: /pending/ });
  await expect(pending).toBeVisible();
  await expect(first.locator('a').first()).toHaveText(before);
  await pending.click();
  await expect(first.locator('a').first()).toHaveText(String(task));
});

test('rows are walked with j and k and opened with Enter', async ({ page }) => {
  await page.goto('/console/tasks');
  await expect(page.locator('tbody tr').nth(2)).toBeVisible();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  const focused = page.locator('tbody tr:focus');
  const id = await focused.locator('a').first().innerText();
  expect(id).toBe(await page.locator('tbody tr').first().locator('a').first().innerText());
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(new RegExp(`/console/tasks/${id}$`));
});

test('a running deploy: stages, live output, search, a link to a line, and cancelling', async ({ page, system }) => {
  const task = await startDeploy(system, { name: 'e2e-live', port: 18_410, instances: 3, watchMs: 8_000 });
  await page.goto(`/console/tasks/${task}`);
  await expect(page.getByRole('heading', { name: new RegExp(`Task ${task} create deployment`) })).toBeVisible();
  const stages = page.getByRole('list', { name: 'Stages' });
  await expect(stages.getByRole('button', { name: /Updating instance|Creating missing vms/ }).first()).toBeVisible({ timeout: 30_000 });
  await expect(page.getByRole('figure', { name: 'Time ribbon' })).toContainText(/Node [ABC] started it/);

  const log = page.getByRole('log');
  const count = await log.locator('[data-at]').count();
  await expect.poll(() => log.locator('[data-at]').count(), { timeout: 25_000 }).toBeGreaterThan(count);

  await page.getByRole('button', { name: /^debug/ }).click();
  await expect(page).toHaveURL(/stream=debug/);
  await expect(log.locator('[data-at]').nth(20)).toBeVisible();
  await page.keyboard.press('/');
  await page.keyboard.type('SENT: agent.');
  await expect(page.getByText(/– of \d+/)).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(page.getByText(/1 of \d+/)).toBeVisible();

  await log.locator('[data-at]').first().getByRole('button').click();
  await expect(page).toHaveURL(/line=\d+/);
  const line = /line=(\d+)/.exec(page.url())?.[1];
  await page.reload();
  await expect(log.locator(`[data-at="${line}"]`)).toHaveClass(/bg-accent-wash/);

  await page.getByRole('button', { name: 'Cancel task' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the task' }).click();
  await expect(page.getByRole('main').getByText('cancelled', { exact: true }).first()).toBeVisible({ timeout: 30_000 });
  expect((await system.cli.follow(task)).state).toBe('cancelled');
});

test('an unknown task is told with BOSH’s code', async ({ page }) => {
  await page.goto('/console/tasks/999999');
  await expect(page.getByRole('main').getByRole('alert')).toContainText('10000');
});
