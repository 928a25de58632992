import { expect, test } from './console';

test('shows the sample deployment: its group as a row, its AZs as columns, its instances live', async ({ page }) => {
  await page.goto('/console/deployments');
  await page.getByRole('row', { name: /hello/ }).getByRole('link', { name: 'hello', exact: true }).click();
  await expect(page).toHaveURL(/\/console\/deployments\/hello$/);
  const grid = page.getByRole('region', { name: 'Instances' });
  for (const az of ['z1', 'z2', 'z3']) await expect(grid.getByRole('columnheader', { name: az })).toBeVisible();
  await expect(grid.getByRole('rowheader', { name: /hello/ })).toContainText('3');
  await expect(grid.getByRole('cell').getByRole('button', { name: /hello running/ })).toHaveCount(3);
});

test('an instance opens beside the grid, is in the URL, and closes with Escape', async ({ page }) => {
  await page.goto('/console/deployments/hello');
  const tile = page.getByRole('cell').getByRole('button', { name: /hello running/ }).first();
  await tile.click();
  const panel = page.getByRole('complementary', { name: /^Instance hello\// });
  await expect(panel).toContainText('Processes');
  await expect(panel).toContainText('127.');
  await expect(page).toHaveURL(/instance=[0-9a-f-]{36}/);
  await page.reload();
  await expect(panel).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(panel).toHaveCount(0);
});

test('tells what the deployment is made of', async ({ page }) => {
  await page.goto('/console/deployments/hello');
  await page.getByText('Manifest of the last deploy').click();
  await expect(page.getByRole('region', { name: 'Manifest' })).toContainText('name: hello');
  await page.getByRole('link', { name: 'cloud config default' }).click();
  await expect(page.getByRole('region', { name: 'Content' })).toContainText('networks:');
});

test('an unknown deployment is told with BOSH’s code', async ({ page }) => {
  await page.goto('/console/deployments/nowhere');
  await expect(page.getByRole('main').getByRole('alert')).toContainText("Deployment 'nowhere' doesn't exist");
  await expect(page.getByRole('main').getByRole('alert')).toContainText('70000');
});

test('lists releases with their jobs, and stemcells', async ({ page }) => {
  await page.goto('/console/releases');
  await page.getByRole('button', { name: 'hello' }).first().click();
  await expect(page.getByRole('heading', { name: 'Jobs' })).toBeVisible();
  await page.goto('/console/stemcells');
  await expect(page.getByRole('row').nth(1)).toContainText('local-linux');
});
