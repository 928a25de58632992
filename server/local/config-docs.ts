import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import { configSchema } from '../core/config';

/**
 * Writes docs/config.md from the schema of the configuration: `npx tsx server/local/config-docs.ts`, in the project's folder.
 */

type Literal = string | number | boolean;

/** What of JSON schema the configuration uses. */
interface Node {
  /** Several when null is a value too. */
  type?: string | string[] | undefined;
  description?: string | undefined;
  default?: unknown;
  const?: Literal | undefined;
  enum?: Literal[] | undefined;
  format?: string | undefined;
  minimum?: number | undefined;
  maximum?: number | undefined;
  minItems?: number | undefined;
  properties?: Record<string, Node> | undefined;
  required?: string[] | undefined;
  items?: Node | undefined;
  anyOf?: Node[] | undefined;
  oneOf?: Node[] | undefined;
}

const literal = z.union([z.string(), z.number(), z.boolean()]);

const node: z.ZodType<Node> = z.lazy(() =>
  z.object({
    type: z.union([z.string(), z.array(z.string())]).optional(),
    description: z.string().optional(),
    default: z.unknown().optional(),
    const: literal.optional(),
    enum: z.array(literal).optional(),
    format: z.string().optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    minItems: z.number().optional(),
    properties: z.record(z.string(), node).optional(),
    required: z.array(z.string()).optional(),
    items: node.optional(),
    anyOf: z.array(node).optional(),
    oneOf: z.array(node).optional(),
  }),
);

interface Row {
  key: string;
  type: string;
  /** `required`, or the default as YAML; empty for keys that may be left out. */
  value: string;
  meaning: string;
}

const introduction = `# Configuration

<!-- Generated from server/core/config.ts by server/local/config-docs.ts: change the schema, then run \`npx tsx server/local/config-docs.ts\`. -->

A director node reads one YAML file, the same on every node of a site. Unknown keys and wrong values are refused at the
start, by name: \`config.yml: nats.urls: Invalid input: expected array, received string\`.

\`npm start\` writes such a file to \`data/config.yml\`; it is a complete example.

A **secret** is given in one of three ways.

\`\`\`yaml
private_key: "-----BEGIN PRIVATE KEY-----\\n…"   # the value itself
private_key: { file: certs/director.key }       # a file; relative paths start at the folder of the config file
private_key: { env: DIRECTOR_KEY }              # an environment variable of the node
\`\`\`
`;

const environment = `## Environment of a node

What differs from node to node is not in the file.

| Variable | Meaning |
| --- | --- |
| \`DIRECTORATE_CONFIG\` | path of the configuration; default \`config.yml\` in the working directory |
| \`DIRECTORATE_ROOT\` | folder of the installation (\`dist\`, \`.next\`, \`db\`); default: the folder above the program |
| \`DIRECTORATE_NODE_NAME\` | name of this node in the console and in messages; default: the first characters of its id |
| \`DIRECTORATE_LISTEN_HOST\` | overrides \`listen.host\` |
| \`DIRECTORATE_LISTEN_PORT\` | overrides \`listen.port\` |
| \`DIRECTORATE_HM_PORT\` | overrides \`health_monitor.http.port\` |
| \`DIRECTORATE_ROLES\` | overrides \`roles\`: a comma list, e.g. \`worker,components\` |
| \`DIRECTORATE_LOG_LEVEL\` | overrides \`log_level\` |
| \`DIRECTORATE_CONSOLE\` | \`off\`: the node serves no console pages |

A node that listens on all addresses (\`0.0.0.0\` or \`::\`) is shown to operators under the first address of its machine that
is neither loopback nor link-local.
`;

/** The page `docs/config.md`, from the schema. Pure; the same schema gives the same text. */
export function configMarkdown(): string {
  const schema = node.parse(z.toJSONSchema(configSchema, { io: 'input' }));
  const groups = Object.entries(schema.properties ?? {});
  const required = new Set(schema.required);
  const simple = groups.filter(([, child]) => !isGroup(child)).flatMap(([key, child]) => rowsOf(key, child, required.has(key)));
  const sections = groups.filter(([, child]) => isGroup(child)).map(([key, child]) => section(key, child, required.has(key)));
  return [introduction, `## Top level\n\n${table(simple)}`, ...sections, environment].join('\n');
}

function isGroup(child: Node): boolean {
  return child.oneOf !== undefined || child.properties !== undefined;
}

function section(key: string, group: Node, isRequired: boolean): string {
  const title = `## \`${key}\`${isRequired ? ' (required)' : ''}\n`;
  const described = group.description ? `\n${group.description}\n` : '';
  if (group.oneOf) return [`${title}${described}\nOne of the following.\n`, ...group.oneOf.map((variant) => `### ${variantName(variant)}\n\n${table(childRows(key, variant))}`)].join('\n');
  const kinds = Object.entries(group.properties ?? {}).flatMap(([name, child]) => kindsOf(`${key}.${name}`, child));
  return [`${title}${described}\n${table(childRows(key, group))}`, ...kinds].join('\n');
}

/** Text about a list whose entries are of several kinds, told apart by a key of theirs; none for anything else. */
function kindsOf(key: string, list: Node): string[] {
  const variants = list.items?.oneOf;
  if (!variants) return [];
  const prefix = `${key}[]`;
  const tag = tagOf(variants[0] ?? {});
  const rows = variants.map((variant) => childRows(prefix, variant));
  const tagRow: Row = { key: `${prefix}.${tag}`, type: 'one of those below', value: 'required', meaning: '' };
  const common = (rows[0] ?? []).filter((row) => row.key !== tagRow.key && rows.every((others) => others.some((other) => other.key === row.key && other.type === row.type && isLeaf(row))));
  const differs = (row: Row) => rows.some((others) => others.some((other) => other.key === row.key && other.value !== row.value));
  const shared = [tagRow, ...common.map((row) => (differs(row) ? { ...row, value: `by \`${tag}\`` } : row))];
  const own = (row: Row) => row.key !== tagRow.key && isLeaf(row) && (!common.some(({ key: name }) => name === row.key) || differs(row));
  return [
    `### \`${key}\`\n\nEvery entry has these keys, and those of its kind.\n\n${table(shared)}`,
    ...variants.map((variant, i) => `#### ${variantName(variant)}\n\n${table((rows[i] ?? []).filter(own))}`),
  ];
}

/** False for rows that only announce the rows after them, or that there are none. */
function isLeaf(row: Row): boolean {
  return row.type !== groupType;
}

function tagOf(variant: Node): string {
  return Object.entries(variant.properties ?? {}).find(([, child]) => child.const !== undefined)?.[0] ?? '';
}

function variantName(variant: Node): string {
  const tag = tagOf(variant);
  return `\`${tag}: ${String(variant.properties?.[tag]?.const)}\``;
}

function childRows(prefix: string, group: Node): Row[] {
  const required = new Set(group.required);
  return Object.entries(group.properties ?? {}).flatMap(([key, child]) => rowsOf(`${prefix}.${key}`, child, required.has(key)));
}

function rowsOf(key: string, child: Node, isRequired: boolean): Row[] {
  const own: Row = { key, type: typeOf(child), value: valueOf(child, isRequired), meaning: child.description ?? '' };
  if (child.properties) return [own, ...childRows(key, child)];
  if (child.items?.properties) return [own, ...childRows(`${key}[]`, child.items)];
  return [own];
}

const groupType = 'keys below';

function typeOf(child: Node): string {
  if (child.const !== undefined) return `\`${String(child.const)}\``;
  if (child.enum) return child.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (isSecret(child)) return child.anyOf?.some((way) => way.format !== undefined) ? 'text or secret' : 'secret';
  if (Array.isArray(child.type)) return child.type.map((type) => (type === 'null' ? 'null' : typeOf({ ...child, type }))).join(' or ');
  switch (child.type) {
    case 'integer':
    case 'number':
      return [child.type, rangeOf(child)].filter(Boolean).join(' ');
    case 'array':
      return [`list of ${itemsOf(child.items)}`, child.minItems ? `at least ${child.minItems}` : ''].filter(Boolean).join(', ');
    case 'object':
      return child.properties ? groupType : 'map';
    case 'string':
      return child.format === 'uri' ? 'URL' : 'text';
    default:
      return child.type ?? 'anything';
  }
}

function itemsOf(items: Node | undefined): string {
  if (items?.oneOf) return 'entries, see below';
  return items === undefined || Object.keys(items).length === 0 ? 'values' : typeOf(items);
}

function isSecret(child: Node): boolean {
  return child.anyOf?.some((way) => way.properties?.file !== undefined) ?? false;
}

function rangeOf({ minimum, maximum }: Node): string {
  const highest = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (minimum !== undefined && highest !== undefined) return `${minimum}–${highest}`;
  return minimum === undefined ? '' : `≥ ${minimum}`;
}

function valueOf(child: Node, isRequired: boolean): string {
  if (isRequired) return 'required';
  if (child.default === undefined || child.properties) return '';
  const shown = child.items?.oneOf && Array.isArray(child.default) ? tagsOf(child.default, tagOf(child.items.oneOf[0] ?? {})) : child.default;
  if (shown === '') return '`""`';
  return `\`${JSON.stringify(shown).replaceAll('"', '').replaceAll(',', ', ')}\``;
}

/** Of entries of several kinds only the kinds: the rest of them is their own default. */
function tagsOf(entries: readonly unknown[], tag: string): unknown[] {
  return entries.map((entry) => (typeof entry === 'object' && entry !== null && tag in entry ? Object.entries(entry).find(([key]) => key === tag)?.[1] : entry));
}

function table(rows: readonly Row[]): string {
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const lines = rows.map(({ key, type, value, meaning }) => `| \`${key}\` | ${cell(type)} | ${cell(value)} | ${cell(meaning)} |`);
  return ['| Key | Type | Default | Meaning |', '| --- | --- | --- | --- |', ...lines, ''].join('\n');
}

if (process.argv[1]?.endsWith('config-docs.ts')) writeFileSync('docs/config.md', configMarkdown());
