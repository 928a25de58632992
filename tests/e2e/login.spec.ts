import { expect, test } from './console';

test.use({ signedIn: false });

test('leads to the login page and back to the page that was wanted', async ({ page, system }) => {
  await page.goto('/console/tasks?state=error');
  await expect(page).toHaveURL(/\/console\/login\?next=/);
  await page.getByLabel('Name').fill(system.client);
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('button', { name: 'Log in' }).click();
  await expect(page.locator('form').getByRole('alert')).toHaveText('The name or the password is wrong.');
  await page.getByLabel('Password').fill(system.secret);
  await page.getByRole('button', { name: 'Log in' }).click();
  await expect(page).toHaveURL(/\/console\/tasks\?state=error$/);
  await expect(page.getByRole('heading', { name: 'Tasks' })).toBeVisible();
});

test('logs out, and the session is over', async ({ page, system }) => {
  await page.goto('/');
  await expect(page).toHaveURL(/\/console\/login/);
  await page.getByLabel('Name').fill(system.client);
  await page.getByLabel('Password').fill(system.secret);
  await page.getByRole('button', { name: 'Log in' }).click();
  await expect(page).toHaveURL(/\/console$/);
  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ name: '__Host-directorate', httpOnly: true, secure: true, sameSite: 'Strict' });
  await page.getByRole('button', { name: 'Log out' }).click();
  await expect(page).toHaveURL(/\/console\/login/);
  await page.context().addCookies(cookie ? [{ ...cookie }] : []);
  await page.goto('/console');
  await expect(page).toHaveURL(/\/console\/login/);
});

test('never leads to another site after logging in', async ({ page, system }) => {
  await page.goto('/console/login?next=https://example.org/');
  await page.getByLabel('Name').fill(system.client);
  await page.getByLabel('Password').fill(system.secret);
  await page.getByRole('button', { name: 'Log in' }).click();
  await expect(page).toHaveURL(`${system.url}/console`);
});

test('changes nothing for a request without the console’s header', async ({ page, system }) => {
  const answer = await page.request.post('/api/trpc/auth.login', { data: { json: { username: system.client, password: system.secret } } });
  expect(answer.status()).toBe(403);
});
