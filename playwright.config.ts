import { defineConfig } from '@playwright/test';

/** The console in Debian's chromium, against the installation that tests/e2e/setup.ts names. */
export default defineConfig({
  testDir: 'tests/e2e',
  outputDir: 'test-results',
  globalSetup: './tests/e2e/setup.ts',
  // All tests look at one installation; some kill its nodes.
  workers: 1,
  fullyParallel: false,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  reporter: 'list',
  use: {
    ignoreHTTPSErrors: true,
    viewport: { width: 1440, height: 900 },
    // A trace of every test makes them all a quarter slower; `npx playwright test <file> --trace on` when one is wanted.
    screenshot: 'only-on-failure',
    launchOptions: { executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] },
  },
});
