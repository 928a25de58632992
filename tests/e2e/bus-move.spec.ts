import { expect, killNode, problems, test } from './console';

test('the bus is moved from the palette, told to every agent, and goes on when a node is killed', async ({ page, system }) => {
  test.setTimeout(120_000);
  const [fleet] = await system.sql<{ vms: number }>('SELECT count(*)::int AS vms FROM vms');
  await page.goto('/console/cluster');
  await expect(page.getByRole('region', { name: 'Bus of the VMs' })).toContainText('configuration');
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox').fill('move the bus');
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Move the bus' });
  await expect(dialog).toContainText(`${fleet?.vms} agents of all AZs will be told and restart their connection.`);
  expect(await problems(page)).toEqual([]);

  const field = dialog.getByLabel('NATS servers, one a line');
  const urls = await field.inputValue();
  await field.fill('http://nowhere');
  await dialog.getByRole('button', { name: /^Move \d+ agents$/ }).click();
  await expect(dialog.getByRole('alert')).toContainText('nats://host:port');
  await field.fill(urls.split('\n').toReversed().join('\n'));
  await dialog.getByRole('button', { name: /^Move \d+ agents$/ }).click();
  await expect(dialog).toHaveCount(0);
  await expect(page).toHaveURL(/move=\d+/);

  const [holder] = await system.sql<{ name: string }>("SELECT n.name FROM leases l JOIN director_nodes n ON n.id = l.holder WHERE l.name = 'bus-mover'");
  killNode(system, holder?.name ?? 'none');
  const move = page.getByRole('table', { name: 'Moves' }).getByRole('row').nth(1);
  await expect(move).toContainText('done', { timeout: 60_000 });
  await expect(move).toContainText(`${fleet?.vms} of ${fleet?.vms}`);
  const agents = page.getByRole('region', { name: /^Agents of move/ }).locator('tbody tr');
  await expect(agents).toHaveCount(fleet?.vms ?? 0);
  for (const agent of await agents.all()) await expect(agent).toContainText('told');
  expect(await problems(page)).toEqual([]);

  await page.goto('/console/agents');
  await expect(page.getByRole('main').getByText('all answer')).toBeVisible({ timeout: 30_000 });
});

test('a component’s hand-overs tell holder, epoch, age and why each ended', async ({ page, system }) => {
  await page.goto('/console/cluster');
  await page.getByRole('button', { name: 'reaper', exact: true }).click();
  await expect(page).toHaveURL(/component=reaper/);
  const terms = page.getByRole('region', { name: 'Hand-overs of reaper' }).locator('tbody tr');
  await expect(terms.first()).toContainText('goes on');
  const [lease] = await system.sql<{ epoch: number }>("SELECT epoch::int FROM leases WHERE name = 'reaper'");
  await expect(terms.first().getByRole('cell').first()).toHaveText(String(lease?.epoch));
  if ((await terms.count()) > 1) await expect(terms.nth(1)).toContainText(/its node|an operator|no progress/);
});
