import { z } from 'zod';

/** What the renderer and its worker threads tell each other. */

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array);

const snapshot = z.object({ memoryBytes: z.int(), pages: z.custom<Uint32Array>((value) => value instanceof Uint32Array), data: bytes });

/** In place of a template's index: the properties are held against their schema. */
export const checkingProperties = -1;

/** Given to a worker at its start. Without a snapshot it reads that of the build, or boots Ruby itself, and sends it back. */
export const workerStart = z.object({
  /** Path of ruby.wasm. The thread compiles it, so that the memory goes when the thread does; V8 shares the code between threads. */
  wasmPath: z.string(),
  prelude: z.string(),
  /** File with the build's snapshot. */
  snapshotPath: z.string(),
  snapshot: snapshot.optional(),
  /** One Int32 in shared memory: index of the template being rendered, 0 = monit. */
  progress: z.custom<Int32Array>((value) => value instanceof Int32Array),
});
export type WorkerStart = z.infer<typeof workerStart>;

/** One job to render. `scope`: jobs of one scope may share a VM; a new scope gets a new one. */
export const renderRequest = z.object({ scope: z.string(), jobName: z.string(), json: z.string(), templates: z.array(z.string()).min(1), check: z.string().optional() });
export type RenderRequest = z.infer<typeof renderRequest>;

const failure = z.object({ template: z.string(), line: z.string(), message: z.string() });

export const workerReply = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready'), snapshot: snapshot.optional() }),
  /** Contents in the order of the request's templates. */
  z.object({ kind: z.literal('rendered'), contents: z.array(bytes) }),
  z.object({ kind: z.literal('failed'), failures: z.array(failure), stage: z.enum(['properties', 'monit', 'templates']) }),
]);
export type WorkerReply = z.infer<typeof workerReply>;
