/** A metric that an expression asks for. */
export interface MetricUse {
  name: string;
  /** Labels that the selector names. */
  labels: string[];
}

const keywords = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan']);

/** The metrics of a PromQL expression, and the labels that it groups or joins by. Enough of the language for rules and dashboards. */
export function readPromql(expression: string): { metrics: MetricUse[]; grouping: string[] } {
  const grouping: string[] = [];
  const plain = expression
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g, (_, labels: string) => {
      grouping.push(...labels.split(',').map((label) => label.trim()).filter(Boolean));
      return ' ';
    })
    .replace(/\[[^\]]*\]/g, ' ');
  const metrics: MetricUse[] = [];
  for (const [whole, name = '', selector = ''] of plain.matchAll(/(?<![\w:.$])([a-zA-Z_:][\w:]*)(\{[^}]*\})?\s*\(?/g)) {
    if (whole.endsWith('(') || keywords.has(name.toLowerCase())) continue;
    metrics.push({ name, labels: [...selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map((match) => match[1] ?? '') });
  }
  return { metrics, grouping };
}
