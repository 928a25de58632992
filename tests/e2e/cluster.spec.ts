import { expect, strip, test } from './console';

test('the strip shows three ready nodes, NATS, Postgres and the blobstore on every page', async ({ page }) => {
  for (const path of ['/console', '/console/tasks', '/console/cluster']) {
    await page.goto(path);
    for (const letter of ['A', 'B', 'C']) await expect(strip(page).getByRole('link', { name: new RegExp(`node ${letter}.*ready`) })).toBeVisible();
    await expect(strip(page).getByRole('link', { name: /NATS/ })).toContainText(/(up.*){3}/);
    await expect(strip(page).getByRole('link', { name: /Postgres .* answered/ })).toBeVisible();
    await expect(strip(page).getByRole('link', { name: /blobstore answered/ })).toBeVisible();
  }
});

test('the overview is calm when all is well', async ({ page }) => {
  await page.goto('/console');
  await expect(page.getByRole('region', { name: 'Needs attention' })).toContainText('All is well.');
  await expect(page.getByRole('region', { name: 'Recent changes' }).getByRole('row')).not.toHaveCount(0);
});

test('every component has a holder, an epoch and a lane; the crowns of the strip add up', async ({ page }) => {
  await page.goto('/console/cluster');
  const components = page.getByRole('list', { name: 'Components' }).getByRole('listitem');
  await expect(components.filter({ hasText: 'reaper' })).toBeVisible();
  const count = await components.count();
  await expect(components.getByTitle(/^Node [ABC] \(/)).toHaveCount(count);
  await expect(components.getByRole('img', { name: /[ABC] at epoch \d+ from/ })).toHaveCount(count);
  const crowns = await strip(page).getByRole('link', { name: /node [ABC]/ }).allInnerTexts();
  expect(crowns.reduce((sum, text) => sum + Number(/(\d+)\s*leases/.exec(text)?.[1] ?? 0), 0)).toBe(count);
});

test('a component moves to another node at a higher epoch, pauses and resumes', async ({ page }) => {
  await page.goto('/console/cluster');
  const row = page.getByRole('list', { name: 'Components' }).getByRole('listitem').filter({ hasText: 'reaper' });
  // Below an opened component its former holders are named too.
  const holder = row.getByTitle(/^Node [ABC] \(/).first();
  const before = await holder.innerText();
  await row.getByRole('button', { name: 'Pause or move reaper' }).click();
  const target = page.getByRole('dialog').getByRole('button', { name: /ready/ }).first();
  await target.click();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(holder).not.toHaveText(before);

  await row.getByRole('button', { name: 'Pause or move reaper' }).click();
  await page.getByRole('button', { name: 'Pause reaper' }).click();
  await expect(row).toContainText('paused');
  await page.goto('/console');
  await expect(page.getByRole('region', { name: 'Needs attention' })).toContainText('Component reaper is paused');
  await page.getByRole('link', { name: 'Resume it' }).click();
  await row.getByRole('button', { name: 'Pause or move reaper' }).click();
  await page.getByRole('button', { name: 'Resume reaper' }).click();
  await expect(holder).toBeVisible();
  await expect(row.getByText('paused', { exact: true })).toHaveCount(0);
});
