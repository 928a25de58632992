import { expect, inEachTheme, problems, test, themes } from './console';

const pages = [
  { path: '/console', ready: 'Needs attention' },
  { path: '/console/deployments', ready: 'hello' },
  { path: '/console/deployments/hello', ready: 'running' },
  { path: '/console/deploy', ready: 'Manifest' },
  { path: '/console/deployments/hello/deploy', ready: 'Manifest' },
  { path: '/console/tasks', ready: 'create release' },
  { path: '/console/tasks/1', ready: 'Task 1' },
  { path: '/console/tasks/1?stream=debug', ready: 'Task 1' },
  { path: '/console/health', ready: 'Monitored by' },
  { path: '/console/health?incidents=ended&all=yes', ready: 'hello' },
  { path: '/console/agents', ready: 'nats-1' },
  { path: '/console/agents?status=failing', ready: 'No such agent' },
  { path: '/console/schedule', ready: 'ScheduledTasksCleanup' },
  { path: '/console/schedule?entry=ScheduledEventsCleanup', ready: 'Outcome' },
  { path: '/console/cluster', ready: 'reaper' },
  { path: '/console/cluster?component=health-monitor', ready: 'Why it ended' },
  { path: '/console/disks', ready: 'No disks yet' },
  { path: '/console/releases', ready: 'hello' },
  { path: '/console/stemcells', ready: 'local-linux' },
  { path: '/console/configs', ready: 'networks' },
];

test('no page has an accessibility problem in either theme, an error in its console, or more width than a telephone', async ({ page }) => {
  test.setTimeout(600_000);
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  for (const { path, ready } of pages) {
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.goto(path);
    await expect(page.getByRole('main')).toContainText(ready);
    await expect(page.getByRole('main').locator('[aria-busy="true"]')).toHaveCount(0);
    await inEachTheme(page, async (theme) => expect.soft({ path, theme, problems: await problems(page) }).toEqual({ path, theme, problems: [] }));
    await page.setViewportSize({ width: 390, height: 844 });
    await expect.poll(() => page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - window.innerWidth)), { message: `${path} is too wide` }).toBe(0);
  }
  expect(errors).toEqual([]);
});

for (const theme of themes) {
  test.describe(theme, () => {
    test.use({ colorScheme: theme });

    test('the palette and the login page have no accessibility problem', async ({ page }) => {
      await page.goto('/console');
      await page.getByRole('button', { name: 'Search and commands' }).click();
      await expect(page.getByRole('dialog').getByRole('option').first()).toBeVisible();
      expect(await problems(page)).toEqual([]);
      await page.goto('/console/login');
      await expect(page.getByLabel('Name')).toBeVisible();
      expect(await problems(page)).toEqual([]);
    });
  });
}
