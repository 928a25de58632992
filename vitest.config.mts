import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'parts',
          include: ['server/**/*.test.ts', 'db/**/*.test.ts', 'app/**/*.test.ts', 'tests/*.test.ts', 'tests/integration/**/*.test.ts', 'tests/cli/**/*.test.ts'],
          // Each file has a database of its own, and most of its time is waiting.
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        // Whole installations, whose time limits suppose that they have the machine to themselves.
        test: { name: 'ha', include: ['tests/ha/**/*.test.ts'], fileParallelism: false, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
