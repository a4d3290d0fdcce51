import type { ParseArgsConfig } from 'node:util';
import { printable } from '../checkpoint/errors';
import type { DeclaredGroups } from '../checkpoint/layers';
import { BACKEND_NAMES } from '../compute';
import type { RankChoice } from '../engine/conversionDocument';
import { FACTORIZATIONS } from '../lowrank';
import {
  UsageError,
  oneOf,
  parseAlternatives,
  parseGroups,
  parsePattern,
  parseThreads,
  splitFlags,
} from './flags';

/** Turns a file of factors back into a dense model. */
export const DENSE = 'dense';

/** Share of the smaller side when nothing says how ranks are chosen. */
export const DEFAULT_SHARE = 0.15;

export interface ConvertArguments {
  readonly input: string;
  /** A factorization, or `dense`. */
  readonly to: string;
  /** Absent: nothing was said of it. */
  readonly ranks?: RankChoice;
  readonly layers?: RegExp;
  readonly groups: readonly DeclaredGroups[];
  readonly omega?: number;
  readonly gain?: number;
  readonly seed?: number;
  /** A recipe: errors are measured on the inputs that its network gives the layers. */
  readonly inputs?: string;
  /** Interpreter for a recipe with Python. */
  readonly python?: string;
  readonly materialize: boolean;
  readonly out?: string;
  /** File to write the document to; `-` is stdout. */
  readonly json?: string;
  readonly spectra: boolean;
  readonly backend?: string;
  readonly threads?: number;
  readonly cache: boolean;
}

const CONVERT_OPTIONS = {
  to: { type: 'string' },
  rank: { type: 'string', multiple: true },
  share: { type: 'string' },
  compression: { type: 'string' },
  error: { type: 'string' },
  layers: { type: 'string', multiple: true },
  groups: { type: 'string', multiple: true },
  omega: { type: 'string' },
  gain: { type: 'string' },
  seed: { type: 'string' },
  inputs: { type: 'string' },
  python: { type: 'string' },
  materialize: { type: 'boolean' },
  out: { type: 'string' },
  json: { type: 'string' },
  spectra: { type: 'boolean' },
  backend: { type: 'string' },
  threads: { type: 'string' },
  'no-cache': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

/** Flags that mean nothing to a file of factors that is only multiplied out. */
const FITTING_FLAGS = [
  'rank',
  'share',
  'compression',
  'error',
  'layers',
  'groups',
  'omega',
  'gain',
  'seed',
  'inputs',
  'python',
  'json',
  'spectra',
] as const;

/**
 * What the arguments of `rankscope convert` ask for.
 *
 * @throws UsageError
 */
export function parseConvert(argv: readonly string[]): ConvertArguments | 'help' {
  const { values, positionals } = splitFlags('convert', argv, CONVERT_OPTIONS);
  if (values.help) return 'help';
  const [input, ...more] = positionals;
  if (input === undefined) throw new UsageError('no file given: try rankscope convert --help');
  if (more.length > 0) throw new UsageError('one file at a time: try rankscope convert --help');
  const to = oneOf('--to', values.to ?? 'sine', [...FACTORIZATIONS.map(({ name }) => name), DENSE]);
  if (to === DENSE) {
    const idle = FITTING_FLAGS.find((flag) => values[flag] !== undefined);
    if (idle !== undefined) throw new UsageError(`--${idle} says nothing with --to dense`);
  }
  if (values.json === '') throw new UsageError('--json needs a file name, or - for stdout');
  if (values.inputs === '') throw new UsageError('--inputs needs a recipe');
  if (values.python !== undefined && values.inputs === undefined)
    throw new UsageError('--python says nothing without --inputs');
  if (values.out === '') throw new UsageError('--out needs a folder');
  const ranks = parseRanks(values);
  return {
    input,
    to,
    groups: (values.groups ?? []).map(parseGroups),
    materialize: values.materialize ?? false,
    spectra: values.spectra ?? false,
    cache: values['no-cache'] !== true,
    ...(ranks !== undefined && { ranks }),
    ...(values.layers !== undefined && { layers: parseAlternatives('--layers', values.layers) }),
    ...(values.omega !== undefined && { omega: parsePositive('--omega', values.omega) }),
    ...(values.gain !== undefined && { gain: parsePositive('--gain', values.gain) }),
    ...(values.seed !== undefined && { seed: parseSeed(values.seed) }),
    ...(values.inputs !== undefined && { inputs: values.inputs }),
    ...(values.python !== undefined && { python: values.python }),
    ...(values.out !== undefined && { out: values.out }),
    ...(values.json !== undefined && { json: values.json }),
    ...(values.backend !== undefined && {
      backend: oneOf('--backend', values.backend, [...BACKEND_NAMES, 'auto']),
    }),
    ...(values.threads !== undefined && { threads: parseThreads(values.threads) }),
  };
}

interface RankFlags {
  readonly rank?: readonly string[] | undefined;
  readonly share?: string | undefined;
  readonly compression?: string | undefined;
  readonly error?: string | undefined;
}

function parseRanks({ rank, share, compression, error }: RankFlags): RankChoice | undefined {
  const given = Object.entries({ rank, share, compression, error }).flatMap(([flag, value]) =>
    value === undefined ? [] : [`--${flag}`],
  );
  if (given.length > 1) throw new UsageError(`${given.join(' and ')} both choose ranks: give one of them`);
  if (share !== undefined) return { kind: 'share', share: parseShare('--share', share) };
  if (compression !== undefined)
    return { kind: 'compression', rate: parseShare('--compression', compression) };
  if (error !== undefined) return { kind: 'error', relativeError: parseShare('--error', error) };
  if (rank === undefined) return undefined;
  const [only, ...others] = rank;
  if (only !== undefined && others.length === 0 && /^\s*\d+\s*$/.test(only)) {
    return { kind: 'rank', rank: parseRank(only, only) };
  }
  return { kind: 'perLayer', ranks: rank.map(parseLayerRank) };
}

function parseLayerRank(text: string): { readonly pattern: string; readonly rank: number } {
  const cut = text.lastIndexOf('=');
  if (cut <= 0) {
    throw new UsageError(
      `--rank "${printable(text)}" is not regex=k: for example --rank 'attn=8' --rank 'mlp=16'`,
    );
  }
  return {
    pattern: parsePattern('--rank', text.slice(0, cut)).source,
    rank: parseRank(text.slice(cut + 1), text),
  };
}

function parseRank(text: string, whole: string): number {
  const rank = /^\s*\d+\s*$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(rank) && rank >= 1) return rank;
  throw new UsageError(`--rank "${printable(whole)}" is not a whole number from 1`);
}

/** `30%`, `30 %` or `0.3`. */
function parseShare(flag: string, text: string): number {
  const match = /^\s*(\d*\.?\d+(?:[eE][+-]?\d+)?)\s*(%?)\s*$/.exec(text);
  const value = match === null ? NaN : Number(match[1]) / (match[2] === '%' ? 100 : 1);
  if (value > 0 && value < 1) return value;
  const hint = value >= 1 && match?.[2] === '' ? `: did you mean ${printable(text.trim())}%?` : '';
  throw new UsageError(`${flag} "${printable(text)}" is not a share between 0 and 1, or 0% and 100%${hint}`);
}

function parsePositive(flag: string, text: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new UsageError(`${flag} "${printable(text)}" is not a number above 0`);
}

/** Seeds are 32-bit: more would be cut off without a word. */
const MAX_SEED = 2 ** 32 - 1;

function parseSeed(text: string): number {
  const seed = /^\d+$/.test(text) ? Number(text) : NaN;
  if (seed <= MAX_SEED) return seed;
  throw new UsageError(`--seed "${printable(text)}" is not a whole number from 0 to ${MAX_SEED}`);
}
