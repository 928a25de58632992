import { noDnsIds, type RenderJob, type TemplateSpec } from '../../server/templates/render-job';

/** A template spec as the planner binds it for one job. */
export function templateSpec(changes: Partial<TemplateSpec> = {}): TemplateSpec {
  return {
    deployment: 'shop',
    name: 'web',
    id: '5f9c1d2e-0000-4000-8000-000000000001',
    index: 2,
    bootstrap: false,
    az: 'z1',
    job: { name: 'web', template: 'nginx', version: 'abc', templates: [{ name: 'nginx', version: 'abc', sha1: 'd1', blobstore_id: 'b1', logs: [] }] },
    networks: {
      private: { type: 'manual', ip: '10.0.0.5', netmask: '255.255.255.0', default: ['addressable', 'dns', 'gateway'], dns_record_name: '2.web.private.shop.bosh' },
      public: { type: 'vip', ip: '192.0.2.7' },
    },
    ip: '10.0.0.5',
    address: '10.0.0.5',
    dns_domain_name: 'bosh',
    persistent_disk: 1024,
    properties: {},
    links: {},
    release: { name: 'site', version: '1.2' },
    ...changes,
  };
}

/** A job with one template, `out`. */
export function renderJob(text: string | Uint8Array, spec: Partial<TemplateSpec> = {}, changes: Partial<RenderJob> = {}): RenderJob {
  return {
    jobName: 'nginx',
    context: templateSpec(spec),
    dns: noDnsIds,
    monit: 'check process nginx',
    templates: [{ src: 'out.erb', dest: 'config/out', text }],
    ...changes,
  };
}
