import { z } from 'zod';

/** A value that need not stand in the file itself. */
export const secret = z
  .union([z.string(), z.strictObject({ file: z.string() }), z.strictObject({ env: z.string() })])
  .describe('the value itself, `{file: path}` (relative to the config file) or `{env: NAME}`');
