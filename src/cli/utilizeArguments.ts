import type { ParseArgsConfig } from 'node:util';
import { printable } from '../checkpoint/errors';
import { BACKEND_NAMES } from '../compute';
import type { SearchMode } from '../engine/utilizationDocument';
import { UsageError, oneOf, parseAlternatives, parseFraction, parseThreads, splitFlags } from './flags';

export interface UtilizeArguments {
  /** A recipe, or a model when `data` is given. */
  readonly input: string;
  readonly data?: string;
  readonly mode?: SearchMode;
  readonly delta?: number;
  readonly energy?: number;
  readonly maxPasses?: number;
  readonly resume: boolean;
  readonly decompose?: string;
  readonly layers?: RegExp;
  readonly python?: string;
  readonly spectra: boolean;
  /** File to write the document to; `-` is stdout. */
  readonly json?: string;
  readonly backend?: string;
  readonly threads?: number;
  /** Least mean layer utilization, 0 … 1. */
  readonly failUnder?: number;
}

const UTILIZE_OPTIONS = {
  data: { type: 'string' },
  mode: { type: 'string' },
  delta: { type: 'string' },
  energy: { type: 'string' },
  'max-passes': { type: 'string' },
  resume: { type: 'boolean' },
  decompose: { type: 'string' },
  layers: { type: 'string', multiple: true },
  python: { type: 'string' },
  spectra: { type: 'boolean' },
  json: { type: 'string' },
  backend: { type: 'string' },
  threads: { type: 'string' },
  'fail-under': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

const MODES = ['cumulative', 'independent', 'label-free'] as const satisfies readonly SearchMode[];

/**
 * What the arguments of `rankscope utilize` ask for.
 *
 * @throws UsageError
 */
export function parseUtilize(argv: readonly string[]): UtilizeArguments | 'help' {
  const { values, positionals } = splitFlags('utilize', argv, UTILIZE_OPTIONS);
  if (values.help) return 'help';
  const [input, ...more] = positionals;
  if (input === undefined) throw new UsageError('no recipe or model given: try rankscope utilize --help');
  if (more.length > 0) throw new UsageError('one recipe or model at a time: try rankscope utilize --help');
  for (const flag of ['data', 'decompose', 'python', 'json'] as const)
    if (values[flag] === '') throw new UsageError(`--${flag} needs a file name`);
  if (values.decompose !== undefined && !/\.safetensors$/i.test(values.decompose))
    throw new UsageError(
      `--decompose ${printable(values.decompose)}: a safetensors file is written, so its name must end in .safetensors`,
    );
  const mode = values.mode === undefined ? undefined : oneOf('--mode', values.mode, MODES);
  refuseIdle(mode, values);
  return {
    input,
    resume: values.resume ?? false,
    spectra: values.spectra ?? false,
    ...(values.data !== undefined && { data: values.data }),
    ...(mode !== undefined && { mode }),
    ...(values.delta !== undefined && { delta: parseDelta(values.delta) }),
    ...(values.energy !== undefined && { energy: parseEnergy(values.energy) }),
    ...(values['max-passes'] !== undefined && { maxPasses: parsePasses(values['max-passes']) }),
    ...(values.decompose !== undefined && { decompose: values.decompose }),
    ...(values.layers !== undefined && { layers: parseAlternatives('--layers', values.layers) }),
    ...(values.python !== undefined && { python: values.python }),
    ...(values.json !== undefined && { json: values.json }),
    ...(values.backend !== undefined && {
      backend: oneOf('--backend', values.backend, [...BACKEND_NAMES, 'auto']),
    }),
    ...(values.threads !== undefined && { threads: parseThreads(values.threads) }),
    ...(values['fail-under'] !== undefined && {
      failUnder: parseFraction('--fail-under', values['fail-under']),
    }),
  };
}

/** Flags that would say nothing are slips. */
function refuseIdle(
  mode: SearchMode | undefined,
  { delta, energy, 'max-passes': maxPasses }: Partial<Record<'delta' | 'energy' | 'max-passes', string>>,
): void {
  const isLabelFree = mode === 'label-free' || (mode === undefined && energy !== undefined);
  const searching = Object.entries({ '--delta': delta, '--max-passes': maxPasses }).find(
    ([, value]) => value !== undefined,
  );
  if (isLabelFree && searching !== undefined)
    throw new UsageError(
      `${searching[0]} guides a search, and label-free mode (--energy) makes none: leave one out`,
    );
  if (mode !== undefined && mode !== 'label-free' && energy !== undefined)
    throw new UsageError(`--energy is for --mode label-free, not for ${mode}`);
}

function parseDelta(text: string): number {
  const delta = text.trim() === '' ? NaN : Number(text);
  if (delta >= 0 && delta <= 100) return delta;
  throw new UsageError(`--delta "${printable(text)}" is not a number of percentage points from 0 to 100`);
}

function parseEnergy(text: string): number {
  const energy = text.trim() === '' ? NaN : Number(text);
  if (energy > 0 && energy <= 1) return energy;
  throw new UsageError(`--energy "${printable(text)}" is not a share above 0 and up to 1: for example 0.99`);
}

function parsePasses(text: string): number {
  const passes = /^\d+$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(passes) && passes >= 1) return passes;
  throw new UsageError(`--max-passes "${printable(text)}" is not a whole number from 1`);
}
