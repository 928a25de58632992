import { expect, killNode, problems, test } from './console';

/** The tests' installation fires it every 5 s. */
const often = 'ScheduledEventsCleanup';

test('an entry goes on firing, at a higher epoch, when the node that fires it is killed', async ({ page, system }) => {
  test.setTimeout(120_000);
  await page.goto(`/console/schedule?entry=${often}`);
  const slots = page.getByRole('region', { name: `Due times of ${often}` });
  await expect(slots.getByRole('row').nth(2)).toContainText(/nothing to do|done/, { timeout: 30_000 });
  const newest = async () => ({ due: await slots.getByRole('row').nth(1).getByRole('cell').first().innerText(), epoch: Number(await slots.getByRole('row').nth(1).getByRole('cell').last().innerText()) });
  const before = await newest();
  const [holder] = await system.sql<{ name: string }>("SELECT n.name FROM leases l JOIN director_nodes n ON n.id = l.holder WHERE l.name = 'scheduler'");
  killNode(system, holder?.name ?? 'none');
  await expect.poll(async () => (await newest()).epoch, { timeout: 45_000 }).toBeGreaterThan(before.epoch);
  await expect(page.getByTitle('Component scheduler')).toContainText(/[ABC]\s*epoch \d+/);
  expect((await newest()).due).not.toBe(before.due);
  const doubled = await system.sql('SELECT schedule, slot_at FROM schedule_slots GROUP BY 1, 2 HAVING count(*) > 1');
  expect(doubled).toEqual([]);
});

test('entries are told in words, paused, resumed and run', async ({ page }) => {
  test.setTimeout(90_000);
  await page.goto('/console/schedule');
  const row = page.getByRole('row', { name: /^ScheduledOrphanedVMCleanup/ });
  await expect(row).toContainText('every 5 minutes');
  await expect(row).toContainText(/in \d+ (s|min)|now/);

  await row.getByRole('button', { name: 'Run ScheduledOrphanedVMCleanup now' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Run it now' }).click();
  const task = row.getByRole('status').getByRole('link');
  await expect(task).toHaveText(/^\d+$/);

  await row.getByRole('button', { name: 'Pause ScheduledOrphanedVMCleanup' }).click();
  expect(await problems(page)).toEqual([]);
  await page.getByRole('dialog').getByRole('button', { name: 'Pause it' }).click();
  await expect(row).toContainText('paused');
  await row.getByRole('button', { name: 'Resume ScheduledOrphanedVMCleanup' }).click();
  await expect(row).not.toContainText('paused');

  await expect(page.getByRole('button', { name: 'Run SnapshotSelf now' })).toBeDisabled();
  await task.click();
  await expect(page.getByRole('heading', { name: /scheduled ScheduledOrphanedVMCleanup/ })).toBeVisible();
  await expect(page.getByRole('main').getByText('done', { exact: true }).first()).toBeVisible({ timeout: 30_000 });
});

test('rows are walked with j and k and opened with Enter', async ({ page }) => {
  await page.goto('/console/schedule');
  await expect(page.getByRole('row', { name: /ScheduledTasksCleanup/ })).toBeVisible();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/entry=/);
  await expect(page.getByText(/Times at which no node was there|After times at which no node was there/)).toBeVisible();
});
