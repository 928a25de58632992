import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

/** The dependency rule: in `server/` a folder (or file) imports only from those below it in this list. */
const order = [
  'local', 'main.ts', 'director.ts', 'components.ts', 'api', 'trpc', 'metrics', 'task-types', 'health', 'scheduler', 'problems', 'deploy', 'plan', 'deployments', 'instances', 'disks',
  'releases', 'stemcells', 'templates', 'configs', 'variables', 'dns', 'tasks', 'cluster', 'alerts', 'events', 'auth', 'agents', 'cpi', 'nats', 'blobstore', 'core',
];

/** Pure: no database, network, clock or `node:` module. */
const pure = [/^server\/plan\//, /^server\/deployments\/(manifest|diff)\.ts$/, /^server\/instances\/instance\.ts$/, /^server\/tasks\/(task|stages)\.ts$/, /^server\/auth\/permissions\.ts$/, /^server\/configs\/parse\.ts$/, /^server\/core\/(yaml|versions|ip|names|fields)\.ts$/, /^server\/alerts\/alert\.ts$/, /^server\/health\/(fleet|analysis|resurrection|events|paths)\.ts$/, /^server\/scheduler\/schedule\.ts$/, /^server\/dns\/(records|names)\.ts$/];

/** Files that may speak SQL beside `store.ts`. */
const mayUseDatabase = [/store\.ts$/, /^server\/(cluster|tasks)\//, /^server\/(director|components|main)\.ts$/, /^server\/deploy\/(ports|sweep)\.ts$/];

const root = resolve(__dirname, '..');

function sources(folder: string): string[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = `${folder}/${name}`;
    if (statSync(join(root, path)).isDirectory()) return sources(path);
    return /\.tsx?$/.test(name) && !/\.test\.tsx?$/.test(name) ? [path] : [];
  });
}

interface Import {
  from: string;
  /** Path below the root without its ending, or the package name. */
  to: string;
  typeOnly: boolean;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found = text.matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm);
  return [...found].map((match) => {
    const target = match[2] ?? match[3] ?? '';
    return { from: file, to: target.startsWith('.') ? relative(root, resolve(root, dirname(file), target)) : target, typeOnly: match[1] !== undefined };
  });
}

const serverFiles = sources('server');
const serverImports = serverFiles.flatMap(importsOf);

function layerOf(path: string): string {
  const [, first = ''] = path.split('/');
  return order.includes(first) ? first : order.includes(`${first}.ts`) ? `${first}.ts` : first;
}

function show(offenders: Import[]): string[] {
  return offenders.map((one) => `${one.from} → ${one.to}`);
}

describe('the architecture', () => {
  it('knows every part of server/', () => {
    expect(serverFiles.map(layerOf).filter((layer) => !order.includes(layer))).toEqual([]);
  });

  it('imports only downwards within server/', () => {
    const upward = serverImports.filter((one) => one.to.startsWith('server/') && order.indexOf(layerOf(one.to)) < order.indexOf(layerOf(one.from)));
    expect(show(upward)).toEqual([]);
  });

  it('keeps the database below the server', () => {
    expect(show(sources('db').flatMap(importsOf).filter((one) => one.to.startsWith('server/') || one.to.startsWith('app/')))).toEqual([]);
  });

  it('composes in one place', () => {
    expect(show(serverImports.filter((one) => one.to === 'server/director' && one.from !== 'server/main.ts'))).toEqual([]);
  });

  it('reads the environment only where a process begins', () => {
    const readers = serverFiles.filter((file) => readFileSync(join(root, file), 'utf8').includes('process.env') && !/^server\/(main\.ts|core\/config\.ts|local\/)/.test(file));
    expect(readers).toEqual([]);
  });

  it('speaks SQL only in stores, the cluster and the queue', () => {
    const speakers = serverImports.filter((one) => !one.typeOnly && (one.to.startsWith('db/schema') || one.to === 'drizzle-orm') && !mayUseDatabase.some((pattern) => pattern.test(one.from)) && !one.from.startsWith('server/local/'));
    expect(show(speakers)).toEqual([]);
  });

  it('keeps pure parts pure', () => {
    const impure = serverImports.filter((one) => pure.some((pattern) => pattern.test(one.from)) && !one.typeOnly && (one.to.startsWith('node:') || one.to.startsWith('db/') || one.to === 'pg' || one.to.startsWith('@nats-io')));
    expect(show(impure)).toEqual([]);
  });

  it('gives pages nothing of the server but types', () => {
    const pages = sources('app').flatMap(importsOf).filter((one) => (one.to.startsWith('server/') || one.to.startsWith('db/')) && !one.typeOnly);
    expect(show(pages)).toEqual([]);
  });

  it('has no file that nobody can read at a sitting', () => {
    const long = [...serverFiles, ...sources('db'), ...sources('app')].filter((file) => readFileSync(join(root, file), 'utf8').split('\n').length > 400);
    expect(long).toEqual([]);
  });
});
