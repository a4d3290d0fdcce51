import { parseArgs, type ParseArgsConfig } from 'node:util';
import { printable } from '../checkpoint/errors';
import type { DeclaredGroups } from '../checkpoint/layers';
import { BACKEND_NAMES } from '../compute';
import { SORT_ORDERS, type SortOrder } from '../engine/report/rows';

export const FORMATS = ['table', 'json', 'csv', 'markdown'] as const;
export type Format = (typeof FORMATS)[number];

export interface AuditArguments {
  readonly inputs: readonly string[];
  readonly format: Format;
  /** File to write the document to; `-` is stdout. */
  readonly json?: string;
  readonly spectra: boolean;
  readonly sha256: boolean;
  readonly sort: SortOrder;
  readonly layers?: RegExp;
  readonly groups: readonly DeclaredGroups[];
  readonly backend?: string;
  readonly threads?: number;
  readonly cache: boolean;
  /** Least mean layer utilization, 0 … 1. */
  readonly failUnder?: number;
}

export type Command =
  | { readonly kind: 'help'; readonly topic: 'general' | 'audit' | 'cache' }
  | { readonly kind: 'version' }
  | { readonly kind: 'audit'; readonly arguments: AuditArguments }
  | { readonly kind: 'cache'; readonly action: 'path' | 'clear' };

/** The command line asks for something that does not exist; its message is one line with a hint. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** More would only wait for each other; a machine with more cores than this is a cluster. */
const MAX_THREADS = 1024;

const AUDIT_OPTIONS = {
  format: { type: 'string' },
  json: { type: 'string' },
  spectra: { type: 'boolean' },
  sha256: { type: 'boolean' },
  sort: { type: 'string' },
  layers: { type: 'string', multiple: true },
  groups: { type: 'string', multiple: true },
  backend: { type: 'string' },
  threads: { type: 'string' },
  'no-cache': { type: 'boolean' },
  'fail-under': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

const COMMANDS = ['audit', 'cache'] as const;

/**
 * What a command line asks for.
 *
 * @param argv what follows the program's name
 * @throws UsageError
 */
export function parseCommand(argv: readonly string[]): Command {
  const [command, ...rest] = argv;
  switch (command) {
    case undefined:
      throw new UsageError('no command given: try rankscope --help');
    case '--help':
    case '-h':
    case 'help':
      return { kind: 'help', topic: 'general' };
    case '--version':
    case '-v':
    case '-V':
      return { kind: 'version' };
    case 'audit':
      return parseAudit(rest);
    case 'cache':
      return parseCache(rest);
    default:
      throw new UsageError(
        `unknown command "${printable(command)}"${suggestion(command, COMMANDS)}: try rankscope --help`,
      );
  }
}

function parseCache(argv: readonly string[]): Command {
  const [action, ...more] = argv;
  if (action === '--help' || action === '-h') return { kind: 'help', topic: 'cache' };
  if ((action === 'path' || action === 'clear') && more.length === 0) return { kind: 'cache', action };
  throw new UsageError('rankscope cache needs one of path and clear: try rankscope cache --help');
}

function parseAudit(argv: readonly string[]): Command {
  const { values, positionals } = parseFlags(argv);
  if (values.help) return { kind: 'help', topic: 'audit' };
  if (positionals.length === 0) {
    throw new UsageError('no file or folder given: try rankscope audit --help');
  }
  const format = oneOf('--format', values.format ?? 'table', FORMATS);
  if (values.json === '') throw new UsageError('--json needs a file name, or - for stdout');
  if (values.json === '-' && values.format !== undefined && format !== 'json') {
    throw new UsageError(`--json - and --format ${format} both want stdout: give --json a file name`);
  }
  return {
    kind: 'audit',
    arguments: {
      inputs: positionals,
      format: values.json === '-' ? 'json' : format,
      spectra: values.spectra ?? false,
      sha256: values.sha256 ?? false,
      sort: oneOf('--sort', values.sort ?? 'order', SORT_ORDERS),
      groups: (values.groups ?? []).map(parseGroups),
      cache: values['no-cache'] !== true,
      ...(values.json !== undefined && { json: values.json }),
      ...(values.layers !== undefined && { layers: parseAlternatives('--layers', values.layers) }),
      ...(values.backend !== undefined && {
        backend: oneOf('--backend', values.backend, [...BACKEND_NAMES, 'auto']),
      }),
      ...(values.threads !== undefined && { threads: parseThreads(values.threads) }),
      ...(values['fail-under'] !== undefined && { failUnder: parseFraction(values['fail-under']) }),
    },
  };
}

function parseFlags(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: AUDIT_OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // Node explains in several sentences; the first says what is wrong.
    const [first = message] = message.split(/\. |\n/);
    const flag = /'(--[^' =]+)/.exec(message)?.[1];
    const isUnknown = message.startsWith('Unknown option') && flag !== undefined;
    const hint = isUnknown
      ? suggestion(
          flag,
          Object.keys(AUDIT_OPTIONS).map((name) => `--${name}`),
        )
      : '';
    const lowered = first.charAt(0).toLowerCase() + first.slice(1).replace(/\.$/, '');
    throw new UsageError(`${printable(lowered)}${hint}: try rankscope audit --help`);
  }
}

function oneOf<T extends string>(flag: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === value);
  if (found !== undefined) return found;
  throw new UsageError(
    `${flag} "${printable(value)}" is not known${suggestion(value, allowed)}: choose ${allowed.join(', ')}`,
  );
}

function parsePattern(flag: string, source: string): RegExp {
  try {
    return new RegExp(source, 'u');
  } catch {
    // Strict Unicode mode refuses escapes such as \- that people write.
  }
  try {
    return new RegExp(source);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^Invalid regular expression: /, '') : '';
    throw new UsageError(`${flag} is no regular expression: ${printable(reason)}`);
  }
}

/** One pattern that matches where any of several does. */
function parseAlternatives(flag: string, sources: readonly string[]): RegExp {
  const [first, ...others] = sources.map((source) => parsePattern(flag, source));
  if (first !== undefined && others.length === 0) return first;
  return parsePattern(flag, sources.map((source) => `(?:${source})`).join('|'));
}

function parseGroups(text: string): DeclaredGroups {
  const cut = text.lastIndexOf('=');
  const groups = Number(text.slice(cut + 1));
  if (cut <= 0 || !Number.isInteger(groups) || groups < 1) {
    throw new UsageError(`--groups "${printable(text)}" is not regex=n: for example --groups 'conv2=32'`);
  }
  return { pattern: parsePattern('--groups', text.slice(0, cut)), groups };
}

function parseThreads(text: string): number {
  const threads = /^\d+$/.test(text) ? Number(text) : NaN;
  if (threads >= 1 && threads <= MAX_THREADS) return threads;
  throw new UsageError(`--threads "${printable(text)}" is not a whole number from 1 to ${MAX_THREADS}`);
}

function parseFraction(text: string): number {
  const fraction = text.trim() === '' ? NaN : Number(text);
  if (fraction >= 0 && fraction <= 1) return fraction;
  throw new UsageError(`--fail-under "${printable(text)}" is not a number from 0 to 1`);
}

/** `, did you mean X?`-like hint for a slip of at most two letters; empty when nothing is near. */
function suggestion(wrong: string, known: readonly string[]): string {
  const [nearest] = known
    .map((name) => ({ name, distance: editDistance(wrong.slice(0, 40), name) }))
    .filter(({ distance }) => distance <= 2)
    .sort((a, b) => a.distance - b.distance);
  return nearest === undefined ? '' : ` (did you mean ${nearest.name}?)`;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
