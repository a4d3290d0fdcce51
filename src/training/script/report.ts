/** One report of a script: a line that holds numbers by name. */

/** Names that are kept of one report, and their length. */
const MAX_NAMES = 100;
const MAX_NAME = 80;
/** A report is one line; a longer one is something else. */
const MAX_CHARACTERS = 1 << 14;

export interface Report {
  /** By normal name: `val_accuracy` of `val/Accuracy`. NaN and infinities included. */
  readonly numbers: ReadonlyMap<string, number>;
  /** For people. */
  readonly message?: string;
}

/**
 * A JSON object, as `json.dumps` writes it, or a Python dict as `print` does. Numbers within other values are not looked
 * at.
 *
 * @returns undefined when the line is no such object
 */
export function parseReport(line: string): Report | undefined {
  const text = line.trim();
  if (!text.startsWith('{') || !text.endsWith('}') || text.length > MAX_CHARACTERS) return undefined;
  const value = parsed(text) ?? parsed(asJson(text));
  if (typeof value !== 'object' || value === null) return undefined;
  const numbers = new Map<string, number>();
  for (const [name, field] of Object.entries(value)) {
    const number = numberOf(field);
    if (number === undefined || numbers.size >= MAX_NAMES || name.length > MAX_NAME) continue;
    numbers.set(normalName(name), number);
  }
  const { message } = value as { readonly message?: unknown };
  return { numbers, ...(typeof message === 'string' && message !== '' && { message }) };
}

/** Python's own words for numbers that JSON has none for, and its quotes. */
function asJson(text: string): string {
  const quoted = text.startsWith("{'") ? text.replace(/'([^'"\\]*)'/g, '"$1"') : text;
  return quoted.replace(/([:,[]\s*)(-?)(NaN|nan|Infinity|inf)(?=\s*[,}\]])/g, '$1"$2$3"');
}

const NOT_FINITE: Readonly<Record<string, number>> = {
  NaN: NaN,
  nan: NaN,
  Infinity: Infinity,
  inf: Infinity,
  '-Infinity': -Infinity,
  '-inf': -Infinity,
};

function numberOf(field: unknown): number | undefined {
  if (typeof field === 'number') return field;
  if (typeof field !== 'string' || !Object.hasOwn(NOT_FINITE, field)) return undefined;
  return NOT_FINITE[field];
}

/** Libraries write `valLoss`, `val/loss`, `val-loss`. */
function normalName(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[\s/.:-]+/g, '_')
    .toLowerCase();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
