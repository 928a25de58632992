import type { Page } from '@playwright/test';
import { expect, inEachTheme, killNode, problems, test, type System } from './console';

interface Holder {
  letter: string;
  epoch: number;
}

/** Who does a component's duty, as the head of the page says. */
async function holderOf(page: Page, component: string): Promise<Holder | undefined> {
  const text = await page.getByTitle(`Component ${component}`).innerText();
  const found = /([ABC])\s+epoch (\d+)/.exec(text);
  return found?.[1] === undefined ? undefined : { letter: found[1], epoch: Number(found[2]) };
}

async function holds(page: Page, component: string): Promise<Holder> {
  await expect.poll(() => holderOf(page, component), { timeout: 20_000 }).toBeDefined();
  const holder = await holderOf(page, component);
  if (!holder) throw new Error(`nobody holds ${component}`);
  return holder;
}

/** Kills the node that does the duty; resolves when the page shows another one at a higher epoch. */
async function killHolder(page: Page, system: System, component: string): Promise<Holder> {
  const before = await holds(page, component);
  killNode(system, before.letter);
  await expect.poll(async () => (await holderOf(page, component))?.epoch ?? 0, { timeout: 20_000 }).toBeGreaterThan(before.epoch);
  const after = await holds(page, component);
  expect(after.letter).not.toBe(before.letter);
  return after;
}

const incidents = (page: Page) => page.getByRole('region', { name: 'Incidents' });

test('a quiet system has a quiet health page, which goes on when the node that monitors is killed', async ({ page, system }) => {
  test.setTimeout(90_000);
  await page.goto('/console/health');
  await expect(incidents(page)).toContainText('Every agent beats');
  await expect(page.getByRole('region', { name: 'Deployments' })).toContainText(/\d+ deployments? with \d+ agents? (is|are) well/);
  for (const plugin of ['logger', 'event_logger']) await expect(page.getByRole('region', { name: 'Plugins' }).getByRole('row', { name: new RegExp(plugin) }).first()).toBeVisible();
  await killHolder(page, system, 'health-monitor');
  await expect(incidents(page)).toContainText('Every agent beats');
  await expect(page.getByRole('heading', { name: 'Health' })).toBeVisible();
});

test('a VM that dies is shown until it is resurrected, and what was told of it is kept', async ({ page, system }) => {
  test.setTimeout(180_000);
  await page.goto('/console/health');
  await page.getByRole('button', { name: 'Turn resurrection off' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Turn resurrection off' }).click();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Turn resurrection on' })).toBeVisible();

  const [victim] = await system.sql<{ agent_id: string; uuid: string; index: number }>("SELECT v.agent_id, i.uuid, i.index FROM vms v JOIN instances i ON i.id = v.instance_id JOIN deployments d ON d.id = i.deployment_id WHERE d.name = 'hello' AND v.active ORDER BY i.index DESC LIMIT 1");
  if (!victim) throw new Error('the sample deployment has no VM');
  await system.powerOff(victim.agent_id);
  const row = incidents(page).getByRole('row', { name: new RegExp(`hello/${victim.index}`) });
  await expect(row).toContainText('agent silent', { timeout: 60_000 });
  await expect(page.getByRole('region', { name: 'Deployments' }).getByRole('row', { name: /^hello/ })).toBeVisible();

  const alert = page.getByRole('region', { name: 'Alerts' }).getByRole('row', { name: new RegExp(`${victim.agent_id} has timed out`) }).first();
  // What came while the page was open waits behind a button.
  await expect(alert.or(page.getByRole('button', { name: /pending/ })).first()).toBeVisible({ timeout: 20_000 });
  const pending = page.getByRole('button', { name: /pending/ });
  if (await pending.isVisible()) await pending.click();
  await alert.getByRole('button').click();
  const panel = page.getByRole('complementary', { name: /^Alert \d+/ });
  await expect(panel).toContainText('critical');
  await expect(panel.getByRole('listitem').filter({ hasText: 'event_logger' })).toContainText('delivered', { timeout: 20_000 });
  await page.reload();
  await expect(panel).toBeVisible();
  expect(await problems(page)).toEqual([]);

  await page.goto('/console');
  const attention = page.getByRole('region', { name: 'Needs attention' });
  await expect(attention).toContainText('hello: 1 agent does not answer');
  await expect(attention).toContainText('Resurrection is off');
  await attention.getByRole('link', { name: 'Turn it on' }).click();
  await page.getByRole('button', { name: 'Turn resurrection on' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Turn resurrection on' }).click();
  await expect(incidents(page)).toContainText('Every agent beats', { timeout: 120_000 });
  await page.getByRole('button', { name: 'Ended' }).click();
  await expect(row.first()).toContainText('agent silent');
  await expect(row.first().getByRole('link', { name: /^\d+$/ })).toBeVisible();
});

test('agents are found by NATS server and state, and lead to their instance', async ({ page }) => {
  await page.goto('/console/agents');
  const matrix = page.getByRole('region', { name: 'By NATS server and state' });
  for (const server of ['nats-1', 'nats-2', 'nats-3']) await expect(matrix.getByRole('row', { name: new RegExp(server) })).toContainText('up');
  await expect.poll(async () => matrix.getByRole('button', { name: /^\d+ running$/ }).count()).toBe(1);
  await matrix.getByRole('button', { name: /running at nats-\d/ }).first().click();
  await expect(page).toHaveURL(/server=nats-\d&status=running/);
  const rows = page.getByRole('region', { name: 'All agents' }).locator('tbody tr');
  await expect(rows.first()).toContainText('running');
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.keyboard.press('/');
  await page.keyboard.type('hello/0');
  await expect(rows).toHaveCount(1);
  await page.locator('h1').click();
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/deployments\/hello\/instances\/[0-9a-f-]{36}$/);
  await expect(page.getByRole('heading', { name: 'hello/0' })).toBeVisible();
});

async function accessibleInBothThemes(page: Page): Promise<void> {
  await inEachTheme(page, async (theme) => expect({ theme, problems: await problems(page) }).toEqual({ theme, problems: [] }));
}

test('the vitals of an instance are drawn with their gaps, told in words, and listed', async ({ page, system }) => {
  const [instance] = await system.sql<{ id: number; uuid: string }>("SELECT i.id, i.uuid FROM instances i JOIN deployments d ON d.id = i.deployment_id WHERE d.name = 'hello' AND i.index = 0");
  if (!instance) throw new Error('the sample deployment has no instance');
  await system.sql(
    `INSERT INTO instance_vitals (instance_id, slot, at, samples, "values")
     SELECT $1, n % 288, to_timestamp(n * 300), 10, ARRAY[0.5 + n % 3, 20, 5, 1, 40 + n % 5, 400000, 0, 0, 30 + n % 3, 10, 20, 5, 'NaN', 'NaN']::real[] FROM generate_series((extract(epoch FROM now()) / 300)::bigint - 200, (extract(epoch FROM now()) / 300)::bigint - 3) n
     WHERE n % 50 > 5 ON CONFLICT DO NOTHING`, [instance.id]);
  await page.goto(`/console/deployments/hello/instances/${instance.uuid}`);
  for (const name of ['Load', 'CPU', 'Memory', 'Disks']) {
    const chart = page.getByRole('figure', { name: `${name} over 24 hours` });
    await expect(chart.locator('path.recharts-curve').first()).toBeVisible();
    await expect(chart.locator('.recharts-reference-area').first()).toBeAttached();
    await expect(chart.locator('p.sr-only')).toContainText('Highest:');
  }
  await expect(page.getByRole('main')).toContainText(/last heartbeat (now|\d+ s ago)/);
  await page.getByText('CPU as a table').click();
  await expect(page.getByRole('region', { name: 'CPU, means of 5 minutes' }).getByRole('row', { name: /20 % 5\.0 % 1\.0 %/ }).first()).toBeVisible();
  await accessibleInBothThemes(page);

  await page.goto(`/console/deployments/hello?instance=${instance.uuid}`);
  await expect(page.getByRole('complementary').getByRole('figure', { name: 'CPU over 24 hours' }).locator('path.recharts-curve').first()).toBeVisible();
  await accessibleInBothThemes(page);
  await page.getByRole('link', { name: 'Open its own page' }).click();
  await expect(page).toHaveURL(/\/instances\//);
});
