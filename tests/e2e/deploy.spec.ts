import { stringify } from 'yaml';
import { helloManifest } from '../../server/local/samples/manifests';
import { expect, inEachTheme, problems, test } from './console';

const watch = '1000-30000';
const manifest = (options: { name: string; instances: number; greeting?: string }) =>
  stringify({ ...helloManifest({ node: process.execPath, port: 18_430, ...options }), update: { canaries: 1, max_in_flight: 3, canary_watch_time: watch, update_watch_time: watch } });

const name = 'e2e-preview';

test('a manifest is previewed, deployed and changed, and each time the result is what the preview said', async ({ page, system }) => {
  test.setTimeout(300_000);
  await page.goto('/console/deployments');
  await page.getByRole('link', { name: 'New deployment' }).click();
  await expect(page.getByRole('heading', { name: 'New deployment' })).toBeVisible();
  const deploy = page.getByRole('button', { name: 'Deploy', exact: true });
  await expect(deploy).toBeDisabled();
  await page.getByLabel('Manifest').fill(manifest({ name, instances: 2 }));
  await page.keyboard.press('Control+Enter');
  const preview = page.getByRole('region', { name: 'Preview' });
  await expect(preview.getByRole('status')).toHaveText('The deploy will create 2 instances.', { timeout: 60_000 });
  await expect(preview.getByRole('cell').getByRole('button', { name: /hello create/ })).toHaveCount(2);
  await deploy.click();
  await page.getByRole('dialog').getByRole('button', { name: 'Deploy' }).click();
  await expect(page).toHaveURL(/\/console\/tasks\/\d+$/);
  await system.cli.follow(Number(page.url().split('/').at(-1)), { withinMs: 120_000 });

  await page.goto(`/console/deployments/${name}`);
  await expect(page.getByRole('cell').getByRole('button', { name: /hello running/ })).toHaveCount(2);
  await page.getByRole('link', { name: 'Deploy…' }).click();
  const editor = page.getByLabel('Manifest');
  await expect(editor).toHaveValue(new RegExp(`name: ${name}`));
  await page.getByRole('button', { name: 'Preview' }).click();
  await expect(preview.getByRole('status')).toHaveText('The deploy will change no instance.');
  await editor.fill(manifest({ name, instances: 1, greeting: 'Good morning' }));
  await expect(preview.getByRole('status')).toContainText('preview again');
  await expect(deploy).toBeDisabled();
  await page.getByRole('button', { name: 'Preview' }).click();
  await expect(preview.getByRole('status')).toHaveText('The deploy will delete 1 and update 1 instances.');
  await expect(preview.getByRole('button', { name: /property greeting/ })).toBeVisible();
  await preview.getByRole('button', { name: 'Manifest diff' }).click();
  await expect(preview.getByRole('region', { name: 'Manifest diff' })).toContainText('instances: 1');

  // Other tests count instances.
  const deletion = await system.cli.follow(await system.cli.start('DELETE', `/deployments/${name}`));
  expect(deletion.state).toBe('done');
});

test('what is wrong with a manifest is told with BOSH’s code', async ({ page }) => {
  await page.goto('/console/deploy');
  await page.getByLabel('Manifest').fill('releases: []\n');
  await page.getByRole('button', { name: 'Preview' }).click();
  await expect(page.getByRole('main').getByRole('alert')).toContainText("Deployment manifest must have a 'name' key");
  await expect(page.getByRole('main').getByRole('alert')).toContainText('40001');
});

test('the preview is accessible in both themes and fits a desk and a telephone', async ({ page }, info) => {
  test.setTimeout(180_000);
  await page.goto('/console/deployments/hello/deploy');
  await page.getByLabel('Manifest').fill(manifest({ name: 'hello', instances: 5, greeting: 'Good evening' }).replace('instances: 5', 'instances: 5\n    update: { max_in_flight: 1 }'));
  await page.keyboard.press('Control+Enter');
  await expect(page.getByRole('region', { name: 'Preview' }).getByRole('status')).toContainText('create 2 instances', { timeout: 60_000 });
  await page.getByRole('cell').getByRole('button', { name: /hello update/ }).first().click();
  for (const [width, height] of [[1440, 900], [390, 844]] as const) {
    await page.setViewportSize({ width, height });
    await expect.poll(() => page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - window.innerWidth))).toBe(0);
    await inEachTheme(page, async (theme) => {
      expect({ width, theme, problems: await problems(page) }).toEqual({ width, theme, problems: [] });
      await page.screenshot({ path: info.outputPath(`preview-${width}-${theme}.png`), fullPage: true });
    });
  }
});
