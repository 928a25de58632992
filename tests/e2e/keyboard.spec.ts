import { expect, test } from './console';

test('the palette goes anywhere and gives the focus back', async ({ page }) => {
  await page.goto('/console/tasks');
  await expect(page.locator('tbody tr').first()).toBeVisible();
  await page.keyboard.press('j');
  await page.keyboard.press('Control+k');
  const field = page.getByRole('combobox', { name: 'Search and commands' });
  await expect(field).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(page.locator('tbody tr').first()).toBeFocused();
  await page.keyboard.press('Control+k');
  await field.fill('hello');
  await expect(page.getByRole('dialog').getByRole('option', { name: /hello/ }).first()).toHaveAttribute('aria-selected', 'true');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/console\/deployments\/hello$/);
  await page.keyboard.press('Control+k');
  await field.fill('1');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/console\/tasks\/1$/);
});

test('g and a letter lead to the pages; ? lists the keys', async ({ page }) => {
  await page.goto('/console');
  await expect(page.getByRole('region', { name: 'Needs attention' })).toBeVisible();
  for (const [key, path] of [['d', '/deployments'], ['t', '/tasks'], ['c', '/cluster'], ['r', '/releases'], ['h', '/health'], ['a', '/agents'], ['e', '/schedule'], ['o', '']] as const) {
    await page.keyboard.press('g');
    await page.keyboard.press(key);
    await expect(page).toHaveURL(new RegExp(`/console${path}$`));
  }
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keys' })).toContainText('Go to deployments');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
});

test('the theme can be chosen and stays', async ({ page }) => {
  await page.goto('/console');
  const theme = page.getByRole('button', { name: /^Theme/ });
  await theme.click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  await theme.click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
});
