/** Words for the common shapes of cron, so that nobody has to count asterisks. */

interface Fields {
  minute: string;
  hour: string;
  day: string;
  month: string;
  weekday: string;
}

/** `0 0 7 * * * UTC` with or without leading seconds and time zone; undefined when seconds matter or fields are missing. */
function parse(text: string): Fields | undefined {
  const fields = text.trim().split(/\s+/).filter((field) => !/^[A-Z][A-Za-z_/]*$/.test(field));
  if (fields.length === 6 && fields.shift() !== '0') return undefined;
  const [minute, hour, day, month, weekday] = fields;
  if (fields.length !== 5 || minute === undefined || hour === undefined || day === undefined || month === undefined || weekday === undefined) return undefined;
  return { minute, hour, day, month, weekday };
}

const two = (text: string) => text.padStart(2, '0');
const isNumber = (text: string) => /^\d+$/.test(text);
const isList = (text: string) => /^\d+(,\d+)*$/.test(text);
const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

function and(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

function inTheHour({ minute }: Fields): string | undefined {
  const every = /^\*\/(\d+)$/.exec(minute)?.[1];
  if (minute === '*' || every === '1') return 'every minute';
  if (every !== undefined) return `every ${every} minutes`;
  if (minute === '0') return 'hourly';
  if (minute === '0,30') return 'every half hour';
  return isList(minute) ? `hourly at ${and(minute.split(',').map((one) => `:${two(one)}`))}` : undefined;
}

function onDays({ day, weekday }: Fields): string | undefined {
  const step = /^\*\/(\d+)$/.exec(day)?.[1];
  if (day === '*' && weekday === '*') return 'daily';
  if (day === '*' && isList(weekday)) return `every ${and(weekday.split(',').map((one) => weekdays[Number(one)] ?? one))}`;
  if (weekday !== '*') return undefined;
  if (step !== undefined && Number(step) > 1) return `on days ${and(Array.from({ length: Math.ceil(31 / Number(step)) }, (_, index) => String(1 + index * Number(step))))}`;
  return isList(day) ? `on ${day.includes(',') ? 'days' : 'day'} ${and(day.split(','))} of the month` : undefined;
}

/** "daily at 07:00 UTC"; undefined where words would be longer than the expression. */
export function describeCron(text: string): string | undefined {
  const fields = parse(text);
  if (fields === undefined || fields.month !== '*') return undefined;
  if (fields.hour === '*') return fields.day === '*' && fields.weekday === '*' ? inTheHour(fields) : undefined;
  const days = onDays(fields);
  if (days === undefined || !isNumber(fields.minute) || !isList(fields.hour)) return undefined;
  const { minute } = fields;
  return `${days} at ${and(fields.hour.split(',').map((hour) => `${two(hour)}:${two(minute)}`))} UTC`;
}
