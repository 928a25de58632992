import { parentPort, workerData } from 'node:worker_threads';
import { z } from 'zod';
import type { RenderStage, TemplateFailure } from './errors';
import { propertiesFault } from './properties-schema';
import { compileRuby, readRuby } from './ruby-module';
import { bootVm, restoreVm, type RubyVm, type VmSnapshot, VmFailure } from './ruby-vm';
import { readSnapshot, snapshotKey } from './snapshot-file';
import { checkingProperties, type RenderRequest, renderRequest, type WorkerReply, workerStart } from './worker-messages';

/**
 * A worker thread that renders one job at a time in a Ruby VM. Bundled as a program of its own.
 * The thread holds nothing that must survive: the renderer may terminate it at any moment.
 */

/** A VM that has grown beyond this is replaced before the next job, bytes: WebAssembly memory never shrinks. */
const recycleAboveBytes = 192 * 1024 * 1024;

/** Most that the templates of one job may produce together, bytes. */
const maxOutputBytes = 64 * 1024 * 1024;

const rubyFailure = z.object({ line: z.string(), message: z.string() });

class JobWorker {
  readonly #module: WebAssembly.Module;
  readonly #snapshot: VmSnapshot;
  readonly #progress: Int32Array;
  #vm: RubyVm | undefined;
  #scope: string | undefined;

  constructor(module: WebAssembly.Module, snapshot: VmSnapshot, progress: Int32Array) {
    this.#module = module;
    this.#snapshot = snapshot;
    this.#progress = progress;
  }

  render(request: RenderRequest): WorkerReply {
    if (request.scope !== this.#scope) this.#vm = undefined;
    this.#scope = request.scope;
    Atomics.store(this.#progress, 0, checkingProperties);
    const fault = checkProperties(request);
    if (fault !== undefined) return { kind: 'failed', failures: [{ template: schemaFile, line: '(unknown)', message: fault }], stage: 'properties' };
    const failures: TemplateFailure[] = [];
    const contents: Uint8Array[] = [];
    let room = maxOutputBytes;
    let stage: RenderStage = 'templates';
    for (const [index, template] of request.templates.entries()) {
      Atomics.store(this.#progress, 0, index);
      const result = this.#renderTemplate(request, index);
      if (result instanceof Uint8Array) {
        room -= result.length;
        contents.push(result);
        if (room < 0) failures.push({ template, line: '(unknown)', message: `the job's templates produce more than ${maxOutputBytes >> 20} MiB` });
      } else failures.push({ template, ...result });
      if (index === 0 && failures.length > 0) stage = 'monit';
      if (room < 0 || stage === 'monit') break;
    }
    if (this.#vm && this.#vm.memoryBytes() > recycleAboveBytes) this.#vm = undefined;
    if (failures.length === 0) return { kind: 'rendered', contents };
    return { kind: 'failed', failures, stage };
  }

  #renderTemplate(request: RenderRequest, index: number): Uint8Array | Omit<TemplateFailure, 'template'> {
    try {
      const vm = this.#loadedVm(request, index);
      const frame = vm.evaluate(`Directorate.render(${index})`);
      if (frame[0] === 0x2b) return frame.subarray(1);
      return rubyFailure.parse(JSON.parse(Buffer.from(frame.subarray(1)).toString()));
    } catch (error) {
      this.#vm = undefined;
      return { line: '(unknown)', message: error instanceof VmFailure ? error.message : `the template broke its interpreter (${String(error)})` };
    }
  }

  /** The VM with the job loaded; a VM that failed at an earlier template has been dropped and is replaced here. */
  #loadedVm(request: RenderRequest, index: number): RubyVm {
    const vm = this.#vm ?? restoreVm(this.#module, this.#snapshot);
    if (index === 0 || !this.#vm) vm.evaluate(`Directorate.job = ${rubyString(request.json)}; ''`);
    this.#vm = vm;
    return vm;
  }
}

const schemaFile = 'properties_schema.json';
const checked = z.object({ schema: z.unknown(), properties: z.unknown() });

/** What is wrong with the job's properties; here and not in the main thread, because the patterns of a schema may take forever. */
function checkProperties({ jobName, check }: RenderRequest): string | undefined {
  if (check === undefined) return undefined;
  const { schema, properties } = checked.parse(JSON.parse(check));
  return propertiesFault(jobName, schema, properties);
}

/** A Ruby string literal without interpolation. */
function rubyString(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
}

async function main(): Promise<void> {
  const port = parentPort;
  if (!port) throw new Error('this program runs as a worker thread of the director');
  const start = workerStart.parse(workerData);
  const wasm = await readRuby(start.wasmPath);
  const module = await compileRuby(wasm);
  const snapshot = start.snapshot ?? (await readSnapshot(start.snapshotPath, snapshotKey(wasm, start.prelude))) ?? bootVm(module, start.prelude).snapshot();
  const worker = new JobWorker(module, snapshot, start.progress);
  const reply = (message: WorkerReply) => port.postMessage(message, []);
  port.on('message', (message: unknown) => reply(worker.render(renderRequest.parse(message))));
  reply({ kind: 'ready', ...(start.snapshot ? {} : { snapshot }) });
}

void main();
