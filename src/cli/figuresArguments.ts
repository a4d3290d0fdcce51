import type { ParseArgsConfig } from 'node:util';
import { printable } from '../checkpoint/errors';
import { BACKEND_NAMES } from '../compute';
import { FIGURE_NUMBERS, type FigureNumber } from '../engine/figuresDocument';
import { MAX_SEED } from '../lowrank/randomStream';
import { UsageError, oneOf, parseThreads, splitFlags } from './flags';

export const FIGURE_FORMATS = ['svg', 'json', 'csv'] as const;
export type FigureFormat = (typeof FIGURE_FORMATS)[number];

export interface FiguresArguments {
  readonly figures: readonly FigureNumber[];
  readonly formats: readonly FigureFormat[];
  /** Folder; made where it does not exist. */
  readonly out: string;
  readonly seed: number;
  readonly backend?: string;
  readonly threads?: number;
}

const FIGURES_OPTIONS = {
  figure: { type: 'string' },
  out: { type: 'string' },
  format: { type: 'string' },
  seed: { type: 'string' },
  backend: { type: 'string' },
  threads: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

/**
 * What the arguments of `rankscope figures` ask for.
 *
 * @throws UsageError
 */
export function parseFigures(argv: readonly string[]): FiguresArguments | 'help' {
  const { values, positionals } = splitFlags('figures', argv, FIGURES_OPTIONS);
  if (values.help) return 'help';
  if (positionals.length > 0) {
    throw new UsageError('rankscope figures reads no file: try rankscope figures --help');
  }
  if (values.out === '') throw new UsageError('--out needs the name of a folder');
  const figure = oneOf('--figure', values.figure ?? 'all', [...FIGURE_NUMBERS.map(String), 'all']);
  const format = oneOf('--format', values.format ?? 'all', [...FIGURE_FORMATS, 'all']);
  return {
    figures: FIGURE_NUMBERS.filter((number) => figure === 'all' || figure === String(number)),
    formats: FIGURE_FORMATS.filter((name) => format === 'all' || format === name),
    out: values.out ?? '.',
    seed: values.seed === undefined ? 0 : parseSeed(values.seed),
    ...(values.backend !== undefined && {
      backend: oneOf('--backend', values.backend, [...BACKEND_NAMES, 'auto']),
    }),
    ...(values.threads !== undefined && { threads: parseThreads(values.threads) }),
  };
}

function parseSeed(text: string): number {
  const seed = /^\d+$/.test(text) ? Number(text) : NaN;
  if (seed <= MAX_SEED) return seed;
  throw new UsageError(`--seed "${printable(text)}" is not a whole number from 0 to ${MAX_SEED}`);
}
