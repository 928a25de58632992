import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { RenderError } from '../../server/templates/errors';
import { createCa, issueServerCertificate } from '../../server/nats/credentials';
import type { DnsIds, RenderJob, TemplateSpec } from '../../server/templates/render-job';
import { prelude } from '../../server/templates/prelude.rb';
import { Renderer } from '../../server/templates/renderer';
import { compileRuby, readRuby, rubyPath } from '../../server/templates/ruby-module';
import { bootVm } from '../../server/templates/ruby-vm';
import { snapshotKey, writeSnapshot } from '../../server/templates/snapshot-file';
import { bundleProgram } from '../support/bundle';
import { renderJob } from '../support/render-job';

let workerPath: string;
let renderer: Renderer;

beforeAll(async () => {
  workerPath = await bundleProgram('server/templates/worker.ts');
  renderer = new Renderer({ workerPath });
});
afterAll(() => renderer.stop());

/** Content of the one template. */
async function rendered(text: string | Uint8Array, spec: Partial<TemplateSpec> = {}, changes: Partial<RenderJob> = {}): Promise<string> {
  const job = await renderer.render(renderJob(text, spec, changes), 'task 1');
  return job.files[0]?.content.toString() ?? '';
}

async function failure(job: RenderJob, using = renderer): Promise<RenderError> {
  return failureOf(using.render(job, 'task 1'));
}

async function failureOf(rendering: Promise<unknown>): Promise<RenderError> {
  const error: unknown = await rendering.then(() => new Error('it rendered'), (reason: unknown) => reason);
  if (error instanceof RenderError) return error;
  throw error;
}

/** One whose time limit does not run out for its start. */
async function warmRenderer(timeoutMs: number): Promise<Renderer> {
  const starting = new Renderer({ workerPath, timeoutMs });
  for (let attempt = 1; attempt <= 5; attempt++) {
    const warm = await starting.render(renderJob(`warm up ${attempt}`), 'w').then(() => true, () => false);
    if (warm) break;
  }
  return starting;
}

async function errorOf(text: string, spec: Partial<TemplateSpec> = {}): Promise<string> {
  const [first] = (await failure(renderJob(text, spec))).failures;
  return `${first?.line}: ${first?.message}`;
}

const properties = {
  port: 8080,
  tls: { enabled: false, cert: null, ciphers: ['a', 'b'], 'max.age': 5 },
  name: 'shop',
  size: 1.5,
  users: [{ name: 'ann' }, { name: 'bob' }],
  hash: 'taken', // hides a method of Object
};

const dbLink = {
  instances: [
    { name: 'db', index: 0, id: 'i0', az: 'z1', address: '10.0.0.8', bootstrap: true, properties: null },
    { name: 'db', index: 1, id: 'i1', az: 'z2', address: '10.0.0.9', bootstrap: false, properties: { weight: 3 } },
  ],
  properties: { port: 5432, user: { name: 'app' }, none: null },
  instance_group: 'My_DB',
  group_name: 'db-conn',
  default_network: 'private',
  deployment_name: 'data',
  domain: 'bosh',
  use_short_dns_addresses: false,
  use_link_dns_names: false,
};
const links = { db: dbLink, broken: { properties: {} } };

describe('the evaluation context', () => {
  test.each([
    ['p of a value', `<%= p('port') %>`, '8080'],
    ['p of a nested value', `<%= p('tls.ciphers').join(',') %>`, 'a,b'],
    ['p takes false for a value', `<%= p('tls.enabled') %>`, 'false'],
    ['p with a default takes nil for missing', `<%= p('tls.cert', 'none') %>`, 'none'],
    ['p with a nil default', `<%= p('nope', nil).inspect %>`, 'nil'],
    ['p of the first name that has a value', `<%= p(['nope', 'tls.cert', 'port', 'name']) %>`, '8080'],
    ['p of several names with a default', `<%= p(['nope', 'nada'], 7) %>`, '7'],
    ['p does not see keys with dots', `<%= p('tls.max.age', 'unseen') %>`, 'unseen'],
    ['p indexes a string as Ruby does', `<%= p('name.ho', 'x') %><%= p('name.zz', 'x') %>`, 'hox'],
    ['if_p with values', `<% if_p('port', 'name') do |port, name| %><%= name %>:<%= port %><% end %>`, 'shop:8080'],
    ['if_p with one missing', `<% if_p('port', 'nope') do %>yes<% end %>no`, 'no'],
    ['if_p … else', `<% if_p('nope') do %>yes<% end.else do %>no<% end %>`, 'no'],
    ['else after a taken branch', `<% if_p('port') do %>yes<% end.else do %>no<% end %>`, 'yes'],
    ['if_p … else_if_p … else', `<% if_p('nope') do %>1<% end.else_if_p('name') do |name| %><%= name %><% end.else do %>3<% end %>`, 'shop'],
    ['else_if_p after a taken branch', `<% if_p('port') do %>1<% end.else_if_p('name') do %>2<% end.else_if_link('db') do %>3<% end.else do %>4<% end %>`, '1'],
    ['if_p … else_if_link', `<% if_p('nope') do %>1<% end.else_if_link('db') do |db| %><%= db.p('port') %><% end %>`, '5432'],
    ['raw_properties is a hash', `<%= raw_properties['tls']['max.age'] %> <%= raw_properties.class %>`, '5 Hash'],
    ['properties is an OpenStruct', `<%= properties.tls.ciphers[1] %> <%= properties.nope.inspect %> <%= properties.users[0].name %> <%= properties.class %>`, 'b nil ann OpenStruct'],
    ['properties hide methods', `<%= properties.hash %>`, 'taken'],
    ['properties answer respond_to?', `<%= properties.respond_to?(:port) %> <%= properties.respond_to?(:nope) %> <%= properties.tls.respond_to?(:cert) %>`, 'true false true'],
    ['properties can be read like a hash', `<%= properties[:port] %> <%= properties.to_h.keys.size %> <%= properties.dig(:tls, :enabled) %>`, '8080 6 false'],
    ['name and index', `<%= name %> <%= index %>`, 'web 2'],
    ['spec', `<%= spec.deployment %> <%= spec.job.name %> <%= spec.id[0, 4] %> <%= spec.bootstrap %> <%= spec.az %> <%= spec.ip %> <%= spec.persistent_disk %> <%= spec.release.version %>`, 'shop web 5f9c false z1 10.0.0.5 1024 1.2'],
    ['spec with a missing attribute', `<%= spec.nope.inspect %>`, 'nil'],
    ['spec.networks', `<%= spec.networks.private.ip %> <%= spec.networks.marshal_dump.values.map(&:type).join(',') %> <%= spec.networks.to_h.keys.first %>`, '10.0.0.5 manual,vip private'],
    ['spec.networks lists attributes by methods(false)', `<%= spec.networks.methods(false).grep(/pub/).first.inspect %>`, ':public'],
    ['spec.networks.send', `<%= spec.networks.send('public').ip %>`, '192.0.2.7'],
    ['spec as an instance variable', `<%= @spec.name %> <%= @links.keys.inspect %>`, 'web ["db", "broken"]'],
    ['link', `<%= link('db').instances.map(&:address).join(',') %> <%= link('db').p('user.name') %> <%= link('db').properties['port'] %>`, '10.0.0.8,10.0.0.9 app 5432'],
    ['link with a default', `<%= link('db').p('nope', 1) %> <%= link('db').p(['nope', 'port']) %>`, '1 5432'],
    ['link instances', `<% i = link('db').instances[1] %><%= [i.name, i.index, i.id, i.az, i.bootstrap, i.p('weight')].join(' ') %>`, 'db 1 i1 z2 false 3'],
    ['link.if_p and its chain', `<% link('db').if_p('none') do %>1<% end.else_if_p('port') do |port| %><%= port %><% end %>`, '5432'],
    ['if_link', `<% if_link('db') do |db| %><%= db.instances.size %><% end %>`, '2'],
    ['if_link of a link without instances', `<% if_link('broken') do %>1<% end.else do %>2<% end %>`, '2'],
    ['if_link … else_if_link', `<% if_link('nope') do %>1<% end.else_if_link('db') do |db| %><%= db.p('port') %><% end.else do %>3<% end %>`, '5432'],
    ['p of a false default', `<%= p('nope', false) %>`, 'false'],
    ['spec.address, dns_domain_name and names of networks', `<%= spec.address %> <%= spec.dns_domain_name %> <%= spec.networks.private.dns_record_name %>`, '10.0.0.5 bosh 2.web.private.shop.bosh'],
    ['spec.properties, spec.links and spec.job', `<%= spec.properties.port %> <%= spec.links.db.instances[1].id %> <%= spec.job.template %> <%= spec.job.templates[0].version %> <%= spec.release.name %>`, '8080 i1 nginx abc site'],
    ['spec like a hash', `<%= spec[:name] %> <%= spec['index'] %> <%= spec.to_h.key?(:deployment) %> <%= spec.respond_to?(:az) %> <%= spec.respond_to?(:nope) %> <%= spec.class.ancestors.include?(OpenStruct) %>`, 'web 2 true true false true'],
    ['if_p does not take nil for a value', `<% if_p('tls.cert') do %>1<% end.else do %>2<% end %>`, '2'],
    ['if_p of false', `<% if_p('tls.enabled') do |on| %><%= on.inspect %><% end %>`, 'false'],
    ['if_p over several instances of a link', `<% link('db').instances.each do |i| %><% i.if_p('weight') do |w| %><%= i.id %>=<%= w %><% end if i.properties %><% end %>`, 'i1=3'],
    ['a chain of else_if_link on a link', `<% if_link('nope') do %>1<% end.else_if_p('nope') do %>2<% end.else_if_link('db') do |db| %><%= db.instances[0].address %><% end %>`, '10.0.0.8'],
    ['lambdas, heredocs, case, inline rescue, ensure', `<% f = ->(x) { x * 2 }; t = <<~EOS
  a#{f.(2)}
EOS
begin; r = case p('port') when 8000..9000 then 'in' else 'out' end; ensure; d = 1; end %><%= t.strip %> <%= r %> <%= (raise('x') rescue 'saved') %> <%= [3, 1].each_with_index.map { |v, i| v * i }.inject(:+) %> <%= 'a1b2'.scan(/\\d/).join %>`, 'a4 in saved 1 12'],
    ['private methods and instance variables of the context', `<%= lookup_property(@raw_properties, 'tls.ciphers').size %> <%= @properties.port %> <%= openstruct({ 'a' => 1 }).a %>`, '2 8080 1'],
    ['the context in a helper method', `<%- def twice(name)\n  return p(name) * 2\nend -%>\n<%= twice('port') %>`, '16160'],
  ])('%s', async (_title, template, expected) => {
    expect(await rendered(template, { properties, links })).toBe(expected);
  });

  test.each([
    ['a missing property', `\n\n<%= p('a.b') %>`, `3: Can't find property '["a.b"]'`],
    ['several missing properties', `<%= p(['a', 'b']) %>`, `1: Can't find property '["a", "b"]'`],
    ['a property that is null', `<%= p('tls.cert') %>`, `1: Can't find property '["tls.cert"]'`],
    ['a missing link', `<%= link('nope') %>`, `1: Can't find link 'nope'`],
    ['a link without instances', `<%= link('broken') %>`, `1: Can't find link 'broken'`],
    ['indexing a number', `<%= p('port.x', 1) %>`, `1: no implicit conversion of String into Integer`],
    ['a missing link property', `<%= link('db').p('nope') %>`, `1: Can't find property '["nope"]'`],
    ['a step through nil', `a\n<%= spec.nope.more %>`, `2: undefined method 'more' for nil`],
    ['an unknown name', `<%= nope %>`, `1: undefined local variable or method 'nope' for an instance of Bosh::Common::Template::EvaluationContext`],
    ['a wrong chain', `<% if_p('nope') do %><% end.elsif_p('port') do %><% end %>`, `1: undefined method 'elsif_p' for an instance of Bosh::Common::Template::EvaluationContext::ActiveElseBlock`],
    ['raise', `<%\nraise "bad port: #{p('port')}"\n%>`, `2: bad port: 8080`],
    ['a failing helper called further down', `<%\ndef check\n  raise 'bad'\nend\n%>\n<% check %>`, `3: bad`],
    ['exit', `<% exit 1 %>`, `1: exit`],
    ['return', `<% return %>`, `1: unexpected return`],
  ])('fails on %s', async (_title, template, expected) => {
    expect(await errorOf(template, { properties, links })).toBe(expected);
  });

  it('names no line for a syntax error', async () => {
    expect(await errorOf('a\n<% if true %>\n')).toMatch(/^\(unknown\): nginx\/out\.erb:\d: syntax errors? found/);
  });
});

describe('ERB', () => {
  test.each([
    ['keeps newlines after tags', `a\n<% 1 %>\nb\n`, 'a\n\nb\n'],
    ['trims with dashes', `a\n  <%- 1 -%>\nb\n`, 'a\nb\n'],
    ['takes lines with % as text', `% x = 1\n%% y\n`, '% x = 1\n%% y\n'],
    ['leaves comments out and prints literal tags', `<%# no %><%% x %%>`, '<% x %%>'],
    ['adds no newline', 'x', 'x'],
    ['escapes nothing', `<%= '<&>' %>`, '<&>'],
    ['knows JSON', `<%= { 'b' => [1, nil], 'a' => 1.0 }.to_json %> <%= JSON.dump('é') %> <%= nil.to_json %>`, '{"b":[1,null],"a":1.0} "é" null'],
    ['knows YAML', `<%= { 'a' => [1, { 'b' => 'yes' }] }.to_yaml %>`, `---\na:\n- 1\n- b: 'yes'\n`],
    ['knows IPAddr', `<%= IPAddr.new('10.0.0.0/30').to_range.map(&:to_s).last %> <%= (IPAddr.new('x') rescue 'bad') %>`, '10.0.0.3 bad'],
    ['knows blank?, present? and shellescape', `<%= [nil, '', ' ', [], 0, 'x', false].map(&:blank?).join(' ') %> <%= 'x'.present? %> <%= "a b".shellescape %>`, 'true true true true false false true true a\\ b'],
    ['knows OpenSSL, Digest, Base64, URI, Set, Shellwords', `<%= Digest::SHA1.hexdigest('a')[0, 4] %> <%= Base64.strict_encode64('a') %> <%= URI.parse('http://h:1/p').port %> <%= (URI.parse('::') rescue $!.class) %> <%= Set[1, 1].size %> <%= OpenSSL::Digest::SHA256.hexdigest('')[0, 4] %>`, '86f7 YQ== 1 URI::InvalidURIError 1 e3b0'],
    ['prints %%> inside tags as %>', `<%= '%%>' %>`, '%>'],
    ['knows Time, CGI, SecureRandom, Date and OpenStruct', `<%= Time.at(0).utc.year %> <%= CGI.escapeHTML('<') %> <%= SecureRandom.hex(2).size %> <%= Date.new(2026, 1, 2).iso8601 %> <%= OpenStruct.new(a: 1).a %>`, '1970 &lt; 4 2026-01-02 1'],
    ['lets templates require what is there', `<% require 'json'; require 'yaml'; require 'cgi'; require 'uri'; require 'shellwords'; require 'socket'; require 'active_support/core_ext/object/blank' %><%= CGI.escape('a b') %>`, 'a+b'],
    ['puts to a place where nobody looks', `<% puts 'x'; warn 'y' %>ok`, 'ok'],
    ['lets a block time out by the host', `<%= Timeout.timeout(1) { 5 } %>`, '5'],
  ])('%s', async (_title, template, expected) => {
    expect(await rendered(template)).toBe(expected);
  });

  it('reads X.509 certificates and names', async () => {
    const ca = await createCa('lab-ca', 365);
    const { certificate } = await issueServerCertificate(ca, { cn: 'db.example.com', dnsNames: ['db.example.com', 'other'], ips: ['10.0.0.5'], days: 30 });
    const template = `<%- cert = OpenSSL::X509::Certificate.new(p('cert')) -%>
<%= cert.subject.to_a.map { |name, value, _| "#{name}=#{value}" }.last %> <%= cert.issuer == OpenSSL::X509::Certificate.new(p('ca')).subject %>
<%= ((cert.not_after - cert.not_before) / 86_400).round %> <%= cert.not_after > Time.now %>
<%= cert.extensions.find { |one| one.oid == 'subjectAltName' }.value %>
<%= OpenSSL::X509::Name.parse('/C=US/CN=web').to_a.map { |part| part[1] }.join(' ') %> <%= OpenSSL::X509::Name.new([['CN', 'x']]) %>
<%= (OpenSSL::X509::Certificate.new('no') rescue $!.class) %> <%= cert.verify(OpenSSL::X509::Certificate.new(p('ca')).public_key) %>`;
    expect(await rendered(template, { properties: { cert: certificate, ca: ca.certificate } })).toBe(
      'CN=db.example.com true\n30 true\nDNS:db.example.com, DNS:other, IP Address:10.0.0.5\nUS web /CN=x\nOpenSSL::X509::CertificateError true',
    );
  });

  it('passes bytes through as they are', async () => {
    const job = await renderer.render(renderJob(Buffer.from([0xe9, 0x0a, 0x00, 0x3c, 0x25, 0x3d, 0x31, 0x25, 0x3e])), 'task 1');
    expect(job.files[0]?.content).toEqual(Buffer.from([0xe9, 0x0a, 0x00, 0x31]));
    const key = await renderer.render(renderJob(`<%= Base64.decode64('/v8A') %>`), 'task 1');
    expect(key.files[0]?.content).toEqual(Buffer.from([0xfe, 0xff, 0x00]));
  });

  it('keeps quotes, backslashes, interpolation signs and big numbers of the context', async () => {
    const tricky = { text: `'"\\#{1}\\n\u2028😀`, big: 12345678901234567890n, order: new Map([['10', 1], ['9', 2]]) };
    expect(await rendered(`<%= p('text') %>|<%= p('big') %>|<%= p('order').keys.join %>`, { properties: tricky })).toBe(`'"\\#{1}\\n\u2028😀|12345678901234567890|109`);
  });
});

describe('link.address', () => {
  const dns: DnsIds = {
    azs: { z1: 1, z2: 12 },
    networks: { private: 4 },
    groups: [
      { type: 'instance-group', name: 'My_DB', deployment: 'data', id: 7 },
      { type: 'link', name: 'db-conn', deployment: 'data', id: 9 },
    ],
  };
  test.each([
    ['plain', {}, `address`, 'q-s0.my-db.private.data.bosh'],
    ['by AZ', {}, `address(azs: ['z2', 'z1'])`, 'q-a1a12s0.my-db.private.data.bosh'],
    ['healthy ones', {}, `address(status: 'healthy')`, 'q-s3.my-db.private.data.bosh'],
    ['unhealthy, all, default', {}, `then { |l| %w[unhealthy all default].map { |s| l.address(status: s)[0, 4] }.join(' ') }`, 'q-s1 q-s4 q-s0'],
    ['with an initial health check', {}, `address(status: 'all', initial_health_check: 'synchronous')`, 'q-s4y1.my-db.private.data.bosh'],
    ['short', { use_short_dns_addresses: true }, `address(azs: ['z1'], initial_health_check: 'asynchronous')`, 'q-a1n4s0y0.q-g7.bosh'],
    ['short, by link', { use_short_dns_addresses: true, use_link_dns_names: true }, `address`, 'q-n4s0.q-g9.bosh'],
    ['of a manual link', { address: 'db.example.com' }, `address(azs: ['z9'])`, 'db.example.com'],
  ])('%s', async (_title, content, call, expected) => {
    expect(await rendered(`<%= link('db').${call} %>`, { links: { db: { ...dbLink, ...content } } }, { dns })).toBe(expected);
  });

  it('refuses an unknown AZ', async () => {
    const error = await failure(renderJob(`<%= link('db').address(azs: ['z9']) %>`, { links }, { dns }));
    expect(error.failures[0]?.message).toBe(`Unknown AZ: 'z9'`);
  });
});

describe('a job', () => {
  it('is rendered file by file, monit first, in the order of its spec', async () => {
    const templates = ['b', 'a', 'sub/c'].map((name) => ({ src: `${name}.erb`, dest: `bin/${name}`, text: `<%= __FILE__ %>` }));
    const job = await renderer.render(renderJob('', {}, { monit: 'check <%= spec.ip %>', templates }), 'task 1');
    expect(job.monit.toString()).toBe('check 10.0.0.5');
    expect(job.files.map(({ src, dest, content }) => [src, dest, content.toString()])).toEqual([
      ['b.erb', 'bin/b', 'nginx/b.erb'],
      ['a.erb', 'bin/a', 'nginx/a.erb'],
      ['sub/c.erb', 'bin/sub/c', 'nginx/sub/c.erb'],
    ]);
  });

  it('keeps what one template changes from the next', async () => {
    const change = `<% spec.az = 'zz'; p('list') << 4; raw_properties['x'] = 1; properties.name.upcase!; @y = 1; A = 1; def helper = 1; local = 1 %>`;
    const look = `<%= spec.az %> <%= p('list').size %> <%= p('x', 'no') %> <%= properties.name %> <%= @y.inspect %> <%= defined?(A).inspect %> <%= respond_to?(:helper) %> <%= defined?(local).inspect %>`;
    const templates = [change, look, change, look].map((text, i) => ({ src: `${i}`, dest: `${i}`, text }));
    const job = await renderer.render(renderJob('', { properties: { list: [1], name: 'n' } }, { monit: change, templates }), 'task 1');
    expect(job.files.map(({ content }) => content.toString()).filter(Boolean)).toEqual(Array(2).fill('z1 1 no n nil nil false nil'));
  });

  it('reports every failing template', async () => {
    const templates = [
      { src: 'nginx.conf.erb', dest: 'c', text: `\n\n<%= p("port") %>` },
      { src: 'fine.erb', dest: 'f', text: 'x' },
      { src: 'pre-start.erb', dest: 'p', text: `<%= link('db') %>` },
    ];
    expect((await failure(renderJob('', {}, { templates }))).message).toBe(
      [
        `- Unable to render templates for job 'nginx'. Errors are:`,
        `  - Error filling in template 'nginx.conf.erb' (line 3: Can't find property '["port"]')`,
        `  - Error filling in template 'pre-start.erb' (line 1: Can't find link 'db')`,
      ].join('\n'),
    );
  });

  it('stops at a failing monit file', async () => {
    const error = await failure(renderJob('<% raise %>', {}, { monit: '\n<%= p("x") %>' }));
    expect(error.message).toBe(`Error filling in template 'monit' (line 2: Can't find property '["x"]')`);
  });

  it('is rendered equally each time and once for equal inputs', async () => {
    const counting = renderJob(`<%= $count = ($count || 0) + 1 %> <%= SecureRandom.hex %> <%= rand %> <%= OpenSSL::Random.random_bytes(8).unpack1('H*') %>`);
    const [first, again] = await Promise.all([renderer.render(counting, 'task a'), renderer.render(counting, 'task b')]);
    expect(again).toBe(first);
    expect(await renderer.render(counting, 'task c')).toBe(first);
    const other = await renderer.render({ ...counting, templates: counting.templates.map((template) => ({ ...template, dest: 'elsewhere' })) }, 'task d');
    const [one, ...random] = first.files[0]?.content.toString().split(' ') ?? [];
    const [oneAgain, ...otherRandom] = other.files[0]?.content.toString().split(' ') ?? [];
    expect([one, oneAgain]).toEqual(['1', '1']);
    random.forEach((value, i) => expect(otherRandom[i]).not.toBe(value));
  });

  it('shares globals with jobs of its own scope only', async () => {
    const text = `<%= $count = ($count || 0) + 1 %>`;
    const counts = [];
    for (const [index, scope] of ['x', 'x', 'y', 'x'].entries()) {
      const job = await renderer.render(renderJob(text, { index }), scope);
      counts.push(job.files[0]?.content.toString());
    }
    expect(counts).toEqual(['1', '2', '1', '1']);
  });
});

describe('properties with a schema', () => {
  const schema = (properties: object) => ({ $schema: 'https://json-schema.org/draft/2020-12/schema', properties });

  it('are checked before anything is rendered', async () => {
    const job = renderJob('<% raise %>', { properties: { port: 'x' } }, { propertiesSchema: schema({ port: { type: 'integer' } }) });
    const error = await failure(job);
    expect([error.stage, error.message]).toEqual(['properties', 'Error validating properties for nginx\nvalue at `/port` is not an integer']);
    expect(await rendered('<%= p("port") %>', { properties: { port: 80 } }, { propertiesSchema: schema({ port: { type: 'integer' } }) })).toBe('80');
  });

  it('are checked anew with another schema', async () => {
    expect(await rendered('same', { properties: { port: 81 } }, { propertiesSchema: schema({ port: { type: 'integer' } }) })).toBe('same');
    expect((await failure(renderJob('same', { properties: { port: 81 } }, { propertiesSchema: schema({ port: { maximum: 80 } }) }))).message).toMatch(/greater than: 80/);
  });

  it('whose patterns take forever end with the time limit', async () => {
    const impatient = await warmRenderer(1_500);
    try {
      const job = renderJob('x', { properties: { name: `${'a'.repeat(40)}!` } }, { propertiesSchema: schema({ name: { pattern: '^(a+)+$' } }) });
      expect((await failure(job, impatient)).message).toBe('Error validating properties for nginx: it did not end within 1.5 s and was stopped');
      expect((await impatient.render(renderJob('well'), 'w')).files[0]?.content.toString()).toBe('well');
    } finally {
      await impatient.stop();
    }
  });
});

describe('the sandbox', () => {
  test.each([
    ['JS.eval', `require 'js'; JS.eval('return process.env.HOME')`, /reached for the host/],
    ['JS.global', `require 'js'; JS.global`, /reached for the host/],
    ['the constructor of the constructor', `require 'js'; JS.try_convert('x')[:constructor][:constructor]`, /reached for the host/],
    ['files', `File.read('/etc/passwd')`, /No such file or directory/],
    ['relative files', `File.read('../../etc/passwd')`, /No such file or directory/],
    ['writing files', `File.write('/tmp/x', 'y')`, /No such file or directory/],
    ['directories', `Dir.children('/')`, /No such file or directory/],
    ['sockets', `require 'socket'; TCPSocket.new('127.0.0.1', 80)`, /uninitialized constant .*TCPSocket/],
    ['http', `require 'net/http'; Net::HTTP.get(URI('http://127.0.0.1'))`, /uninitialized constant|cannot load such file/],
    ['system', `system('ls')`, /cannot start processes/],
    ['backquotes', '`ls`', /cannot start processes/],
    ['Kernel.spawn', `Kernel.spawn('ls')`, /cannot start processes/],
    ['IO.popen', `IO.popen('ls')`, /cannot start processes/],
    ['file descriptors', `IO.for_fd(7).read`, /Bad file descriptor/],
    ['exit!', `exit!`, /exit/],
    ['endless recursion', `def f(x) = f(x + 1); f(1)`, /stack level too deep/],
  ])('refuses %s', async (_title, ruby, message) => {
    expect(await errorOf(`<% ${ruby} %>`)).toMatch(message);
    expect(await rendered('still <%= spec.name %>')).toBe('still web');
  });

  it('has an empty environment', async () => {
    expect(await rendered(`<%= ENV.to_h %> <%= ENV['PATH'].inspect %>`)).toBe('{} nil');
  });

  it('goes on with the other templates after one broke out', async () => {
    const templates = ['<% $seen = 1 %>a', `<% require 'js'; JS.eval('1') %>`, '<%= nope %>'].map((text, i) => ({ src: `t${i}`, dest: `t${i}`, text }));
    const error = await failure(renderJob('', {}, { templates }));
    expect(error.failures.map(({ template, line }) => [template, line])).toEqual([['t1', '(unknown)'], ['t2', '1']]);
  });

  it('bounds memory', async () => {
    expect(await errorOf(`<% x = []; loop { x << 'a' * 50_000_000 } %>`)).toMatch(/failed to allocate memory/);
    expect(await rendered('small again')).toBe('small again');
  });

  it('bounds output', async () => {
    expect(await errorOf(`<%= 'a' * 70_000_000 %>`)).toMatch(/more than 64 MiB/);
  });
});

describe('the renderer', () => {
  it('kills a runaway template and renders what waited behind it', async () => {
    const impatient = await warmRenderer(1_500);
    try {
      const endless = failure(renderJob('', {}, { templates: [{ src: 'ok', dest: 'ok', text: 'x' }, { src: 'endless.erb', dest: 'e', text: '<% loop {} %>' }] }), impatient);
      const waiting = [1, 2, 3].map((n) => impatient.render(renderJob(`job ${n}`), 'task 2'));
      expect((await endless).failures).toEqual([{ template: 'endless.erb', line: '(unknown)', message: 'it did not end within 1.5 s and was stopped' }]);
      const abort = new AbortController();
      const aborted = impatient.render(renderJob('not waited for'), 'task 2', abort.signal);
      abort.abort(new Error('cancelled'));
      await expect(aborted).rejects.toThrow('cancelled');
      const contents = (await Promise.all(waiting)).map((job) => job.files[0]?.content.toString());
      expect(contents).toEqual(['job 1', 'job 2', 'job 3']);
    } finally {
      await impatient.stop();
    }
  });

  it('uses several threads, rests when idle, and comes back', async () => {
    const two = new Renderer({ workerPath, workers: 2, idleMs: 50 });
    const texts = Array.from({ length: 12 }, (_, i) => `n${i}`);
    const render = async (suffix: string) => (await Promise.all(texts.map((text, i) => two.render(renderJob(text + suffix), `task ${i % 3}`)))).map((job) => job.files[0]?.content.toString());
    try {
      expect(await render('')).toEqual(texts);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(await render('!')).toEqual(texts.map((text) => `${text}!`));
    } finally {
      await two.stop();
    }
    await expect(two.render(renderJob('late'), 't')).rejects.toThrow('stopped');
  });

  it('renders again what a crashing thread took with it, once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'render-'));
    const crashing = join(folder, 'worker.cjs');
    // Ends without an answer as long as the folder named by the scope holds fewer than two marks.
    await writeFile(crashing, `
      const { parentPort } = require('node:worker_threads');
      const { readdirSync, writeFileSync } = require('node:fs');
      parentPort.on('message', ({ scope, templates }) => {
        const marks = readdirSync(scope);
        if (marks.length % 3 === 2) return parentPort.postMessage({ kind: 'rendered', contents: templates.map(() => new Uint8Array([65])) });
        writeFileSync(scope + '/' + marks.length, '');
        process.exit(7);
      });
      parentPort.postMessage({ kind: 'ready', snapshot: { memoryBytes: 0, pages: new Uint32Array(), data: new Uint8Array() } });
    `);
    const marks = await mkdtemp(join(folder, 'marks-'));
    const fragile = new Renderer({ workerPath: crashing, wasmPath: 'none' });
    try {
      expect((await failureOf(fragile.render(renderJob('x'), marks))).message).toMatch(/failed twice: the render thread ended with status 7/);
      expect((await fragile.render(renderJob('x'), marks)).monit.toString()).toBe('A');
      await rm(join(marks, '1'));
      expect((await fragile.render(renderJob('y'), marks)).monit.toString()).toBe('A');
      expect(await readdir(marks)).toHaveLength(2);
    } finally {
      await fragile.stop();
      await rm(folder, { recursive: true });
    }
  });

  it('starts from the snapshot that the build has left beside the worker', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'render-'));
    const beside = join(folder, 'worker.cjs');
    await copyFile(workerPath, beside);
    const wasm = await readRuby(rubyPath(createRequire(workerPath)));
    const vm = bootVm(await compileRuby(wasm), `${prelude}\n$made_by = 'the build'`);
    await writeSnapshot(join(folder, 'ruby.snapshot'), snapshotKey(wasm, prelude), vm.snapshot());
    const started = new Renderer({ workerPath: beside, wasmPath: rubyPath(createRequire(workerPath)) });
    try {
      expect((await started.render(renderJob('<%= $made_by %>'), 't')).files[0]?.content.toString()).toBe('the build');
    } finally {
      await started.stop();
      await rm(folder, { recursive: true });
    }
  });

  it('says why Ruby cannot be started', async () => {
    const broken = new Renderer({ workerPath, wasmPath: '/nonexistent/ruby.wasm' });
    await expect(broken.render(renderJob('x'), 't')).rejects.toThrow(/Ruby cannot be started: .*nonexistent/);
    await broken.stop();
  });
});
