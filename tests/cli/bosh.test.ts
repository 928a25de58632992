import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { sql } from 'drizzle-orm';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBoshCli, type BoshCli } from '../support/bosh-cli';
import { CliClient } from '../support/cli-client';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';
import { password, startRestServer, type RestServer } from '../support/rest-server';

/** Commands of the bosh CLI against the API: with the real binary where `BOSH_CLI` names one, else its calls only. */

const binary = process.env.BOSH_CLI;
let store: TestStore;
let server: RestServer;
let worker: TestNode;

const vmLine = {
  vm_cid: 'vm-1', active: true, vm_created_at: '2026-01-02T03:04:05Z', cloud_properties: {}, disk_cid: null, disk_cids: [], ips: ['10.0.0.5'], agent_id: 'a-1', job_name: 'web', index: 0, job_state: 'running', state: 'started',
  vm_type: 'small', vitals: null, processes: [], az: 'z1', id: '11111111-2222-3333-4444-555555555555', bootstrap: true, ignore: false, stemcell: { name: 's', version: '1', api_version: 3 },
};

beforeAll(async () => {
  store = await testStore();
  server = await startRestServer(store, { tls: true });
  worker = await startTestNode({
    store,
    name: 'w',
    perform: async (ctx, type) => {
      if (type === 'vms') await ctx.result(`${JSON.stringify(vmLine)}\n`);
      if (type === 'delete_deployment') await ctx.write(async (tx) => void (await tx.execute(sql`DELETE FROM deployments`)));
      if (type === 'update_deployment') await ctx.stages.stage('Preparing deployment', 1).run('Preparing deployment', () => Promise.resolve());
      ctx.log.info('the debug log');
      return `did ${type}`;
    },
  });
});
afterAll(async () => {
  await worker?.stop();
  await server?.close();
  await store?.close();
});

async function stemcellFile(folder: string): Promise<string> {
  const tar = pack();
  tar.entry({ name: 'stemcell.MF' }, 'name: lab\nversion: "1"\napi_version: 3\noperating_system: lab-os\nsha1: da39a3ee\ncloud_properties: {}\n');
  tar.entry({ name: 'image' }, '');
  tar.finalize();
  const path = join(folder, 'stemcell.tgz');
  await writeFile(path, await buffer(tar.pipe(createGzip())));
  return path;
}

it('a session by its calls: configs, deploy with diff, vms, tasks, delete', async () => {
  const cli = new CliClient({ url: server.url, ca: server.ca, client: 'test', secret: password });
  const yaml = (body: string) => ({ contentType: 'text/yaml', body });
  expect((await cli.call('POST', '/cloud_configs/diff?name=', yaml('azs: []\n'))).body).toBe('{"diff":[["azs: []","added"]]}');
  expect((await cli.call('POST', '/cloud_configs?name=', yaml('azs: []\n'))).status).toBe(201);
  const diff = await cli.json<{ context: unknown }>('POST', '/deployments/by-calls/diff?redact=true', yaml('name: by-calls\n'));
  const context = encodeURIComponent(JSON.stringify(diff.context));
  expect(await cli.follow(await cli.start('POST', `/deployments?context=${context}`, yaml('name: by-calls\n')))).toMatchObject({ state: 'done', result: 'did update_deployment' });
  const vms = await cli.start('GET', '/deployments/by-calls/vms?format=full');
  await cli.follow(vms);
  expect(JSON.parse(await cli.output(vms, 'result'))).toEqual(vmLine);
  expect((await cli.json<unknown[]>('GET', '/tasks?limit=30&verbose=2')).length).toBe(2);
  expect((await cli.follow(await cli.start('DELETE', '/deployments/by-calls'))).state).toBe('done');
});

// The binary is not part of the project's set-up.
if (binary !== undefined) {
  describe('the real CLI', () => {
    let bosh: BoshCli;
    beforeAll(async () => {
      bosh = await openBoshCli(binary, { url: server.url, ca: server.ca, client: 'test', secret: password });
      await mkdir(join(bosh.folder, 'files'));
      await writeFile(join(bosh.folder, 'cloud.yml'), 'azs:\n- name: z1\n');
      await writeFile(join(bosh.folder, 'runtime.yml'), 'tags: {a: b}\n');
      await writeFile(join(bosh.folder, 'shop.yml'), 'name: shop\nreleases: []\nstemcells: []\nupdate: {}\ninstance_groups: []\n');
    });
    afterAll(() => bosh?.remove());

    const succeeds = async (...args: string[]) => {
      const { status, output } = await bosh.run(...args);
      expect({ args, status, output: status === 0 ? '' : output }).toEqual({ args, status: 0, output: '' });
      return output;
    };

    it('logs in and shows the director', async () => {
      expect(await bosh.table('env', '--details')).toBeDefined();
      expect((await bosh.table('env'))[0]).toMatchObject({ name: 'TestDirector', uuid: 'deadbeef', user: 'test' });
    });

    it('keeps configs', async () => {
      await succeeds('update-cloud-config', join(bosh.folder, 'cloud.yml'));
      expect(await succeeds('cloud-config')).toContain('name: z1');
      await succeeds('update-config', '--type=runtime', '--name=tags', join(bosh.folder, 'runtime.yml'));
      expect((await bosh.table('configs')).map((config) => `${config.type}/${config.name}`)).toEqual(['cloud/default', 'runtime/tags']);
      await succeeds('diff-config', '--from-id=1', `--to-content=${join(bosh.folder, 'cloud.yml')}`);
      await succeeds('delete-config', '--type=runtime', '--name=tags');
      expect((await bosh.table('configs')).length).toBe(1);
    });

    it('deploys, with diff and task', async () => {
      const output = await succeeds('--tty', '-d', 'shop', 'deploy', join(bosh.folder, 'shop.yml'));
      expect(output).toContain('+ name: shop');
      expect(output).toContain('Preparing deployment: Preparing deployment');
      expect((await bosh.table('deployments')).map((deployment) => deployment.name)).toEqual(['shop']);
      expect(await succeeds('-d', 'shop', 'deploy', '--dry-run', '--recreate', '--skip-drain=web,db', '--max-in-flight=20%', join(bosh.folder, 'shop.yml'))).toBeDefined();
    });

    it('shows VMs and instances', async () => {
      expect((await bosh.table('-d', 'shop', 'vms'))[0]).toMatchObject({ instance: 'web/11111111-2222-3333-4444-555555555555', ips: '10.0.0.5' });
      expect((await bosh.table('-d', 'shop', 'instances', '--ps')).length).toBe(1);
    });

    it('shows tasks', async () => {
      const [newest] = await bosh.table('tasks', '--recent', '--all');
      expect(newest?.state).toBe('done');
      for (const type of ['--event', '--debug', '--result', '--cpi']) await succeeds('task', String(newest?.id), type);
      expect(await succeeds('task', String(newest?.id), '--debug')).toContain('the debug log');
      expect(await bosh.table('tasks')).toEqual([]);
      expect(await bosh.table('locks')).toEqual([]);
    });

    it('uploads a stemcell', async () => {
      await succeeds('upload-stemcell', await stemcellFile(bosh.folder));
      expect(await bosh.table('stemcells')).toEqual([]);
      expect(await bosh.table('releases')).toEqual([]);
    });

    it('lists what there is none of, and the audit trail', async () => {
      for (const command of [['disks', '--orphaned'], ['orphaned-vms'], ['networks', '--orphaned'], ['-d', 'shop', 'errands'], ['-d', 'shop', 'variables'], ['-d', 'shop', 'snapshots']]) expect(await bosh.table(...command)).toEqual([]);
      expect((await bosh.table('events')).length).toBeGreaterThan(5);
      await succeeds('event', '1');
      await succeeds('update-resurrection', 'off');
      await succeeds('clean-up', '--all');
      await succeeds('clean-up', '--dry-run');
    });

    it('prints the sentence when something is refused', async () => {
      const refused = await bosh.run('-d', 'shop', 'restart');
      expect([refused.status, refused.output]).toEqual([1, expect.stringContaining('is not supported by this version of Directorate')]);
      const unknown = await bosh.run('-d', 'nope', 'manifest');
      expect([unknown.status, unknown.output]).toEqual([1, expect.stringContaining("Deployment 'nope' doesn't exist")]);
    });

    it('deletes a deployment', async () => {
      await succeeds('-d', 'shop', 'delete-deployment');
      expect(await bosh.table('deployments')).toEqual([]);
    });
  });
}
