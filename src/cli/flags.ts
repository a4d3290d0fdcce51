/** What every command's flags have in common: how they are split, checked, and refused in one line with a hint. */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { printable } from '../checkpoint/errors';
import type { DeclaredGroups } from '../checkpoint/layers';
import { suggestion } from '../checkpoint/wording';

/** The command line asks for something that does not exist; its message is one line with a hint. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** More would only wait for each other; a machine with more cores than this is a cluster. */
const MAX_THREADS = 1024;

type FlagOptions = NonNullable<ParseArgsConfig['options']>;

/**
 * Splits a command's arguments into flags and positionals.
 *
 * @param command its name, for the hint
 * @throws UsageError
 */
export function splitFlags<T extends FlagOptions>(command: string, argv: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // Node explains in several sentences; the first says what is wrong.
    const [first = message] = message.split(/\. |\n/);
    const flag = /'(--[^' =]+)/.exec(message)?.[1];
    const isUnknown = message.startsWith('Unknown option') && flag !== undefined;
    const hint = isUnknown
      ? suggestion(
          flag,
          Object.keys(options).map((name) => `--${name}`),
        )
      : '';
    const lowered = first.charAt(0).toLowerCase() + first.slice(1).replace(/\.$/, '');
    throw new UsageError(`${printable(lowered)}${hint}: try rankscope ${command} --help`);
  }
}

/** @throws UsageError naming the flag and what it takes */
export function oneOf<T extends string>(flag: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === value);
  if (found !== undefined) return found;
  throw new UsageError(
    `${flag} "${printable(value)}" is not known${suggestion(value, allowed)}: choose ${allowed.join(', ')}`,
  );
}

/** @throws UsageError when `source` is no regular expression */
export function parsePattern(flag: string, source: string): RegExp {
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

/** One pattern that matches where any of several does. @throws UsageError */
export function parseAlternatives(flag: string, sources: readonly string[]): RegExp {
  const [first, ...others] = sources.map((source) => parsePattern(flag, source));
  if (first !== undefined && others.length === 0) return first;
  return parsePattern(flag, sources.map((source) => `(?:${source})`).join('|'));
}

/** @throws UsageError */
export function parseThreads(text: string): number {
  const threads = /^\d+$/.test(text) ? Number(text) : NaN;
  if (threads >= 1 && threads <= MAX_THREADS) return threads;
  throw new UsageError(`--threads "${printable(text)}" is not a whole number from 1 to ${MAX_THREADS}`);
}

/** `regex=n`: convolutions whose name matches have n groups. @throws UsageError */
export function parseGroups(text: string): DeclaredGroups {
  const cut = text.lastIndexOf('=');
  const groups = Number(text.slice(cut + 1));
  if (cut <= 0 || !Number.isInteger(groups) || groups < 1) {
    throw new UsageError(`--groups "${printable(text)}" is not regex=n: for example --groups 'conv2=32'`);
  }
  return { pattern: parsePattern('--groups', text.slice(0, cut)), groups };
}

/** A number from 0 to 1. @throws UsageError */
export function parseFraction(flag: string, text: string): number {
  const fraction = text.trim() === '' ? NaN : Number(text);
  if (fraction >= 0 && fraction <= 1) return fraction;
  throw new UsageError(`${flag} "${printable(text)}" is not a number from 0 to 1`);
}
