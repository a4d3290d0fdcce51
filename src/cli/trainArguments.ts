import type { ParseArgsConfig } from 'node:util';
import { printable } from '../checkpoint/errors';
import { suggestion } from '../checkpoint/wording';
import { BACKEND_NAMES } from '../compute';
import type { SweepRecipe } from '../training/recipe';
import { oneOf, parseThreads, splitFlags, UsageError } from './flags';

/** What is done with the runs of a recipe. */
export type TrainAction = 'start' | 'list' | 'follow' | 'stop' | 'resume';

export interface TrainArguments {
  /** A recipe, or the folder of one run. */
  readonly input: string;
  readonly action: TrainAction;
  readonly compare: boolean;
  /** In place of the recipe's own; texts are numbers but for the form's. */
  readonly sweep?: SweepRecipe;
  readonly launcher?: 'here' | 'slurm';
  readonly jobs?: number;
  readonly detach: boolean;
  readonly python?: string;
  readonly backend?: string;
  /** File to write the document to; `-` is stdout. */
  readonly json?: string;
  /** File to draw the curves into. */
  readonly figure?: string;
}

const TRAIN_OPTIONS = {
  compare: { type: 'boolean' },
  sweep: { type: 'string', multiple: true },
  launcher: { type: 'string' },
  jobs: { type: 'string' },
  detach: { type: 'boolean' },
  list: { type: 'boolean' },
  follow: { type: 'boolean' },
  stop: { type: 'boolean' },
  resume: { type: 'boolean' },
  python: { type: 'string' },
  backend: { type: 'string' },
  json: { type: 'string' },
  figure: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

const AXES = [
  'form',
  'rank',
  'omega',
  'gain',
  'seed',
  'learningRate',
] as const satisfies readonly (keyof SweepRecipe)[];

const MAX_JOBS = 1024;

/**
 * What the arguments of `rankscope train` ask for.
 *
 * @throws UsageError
 */
export function parseTrain(argv: readonly string[]): TrainArguments | 'help' {
  const { values, positionals } = splitFlags('train', argv, TRAIN_OPTIONS);
  if (values.help) return 'help';
  const [input, ...more] = positionals;
  if (input === undefined) throw new UsageError('no recipe given: try rankscope train --help');
  if (more.length > 0) throw new UsageError('one recipe at a time: try rankscope train --help');
  for (const flag of ['python', 'json', 'figure'] as const)
    if (values[flag] === '') throw new UsageError(`--${flag} needs a name`);
  if (values.figure !== undefined && !/\.svg$/i.test(values.figure))
    throw new UsageError(
      `--figure ${printable(values.figure)}: an SVG is drawn, so its name must end in .svg`,
    );
  const action = actionOf(values);
  const compare = values.compare ?? false;
  const sweep = values.sweep === undefined ? undefined : parseSweep(values.sweep);
  if (action !== 'start' && (compare || sweep !== undefined))
    throw new UsageError(`--${action} is for runs that are there: leave --compare and --sweep out`);
  const jobs = values.jobs === undefined ? undefined : parseJobs(values.jobs);
  return {
    input,
    action,
    compare,
    detach: values.detach ?? false,
    ...(sweep !== undefined && { sweep }),
    ...(values.launcher !== undefined && {
      launcher: oneOf('--launcher', values.launcher, ['here', 'slurm']),
    }),
    ...(jobs !== undefined && { jobs }),
    ...(values.python !== undefined && { python: values.python }),
    ...(values.backend !== undefined && {
      backend: oneOf('--backend', values.backend, [...BACKEND_NAMES, 'auto']),
    }),
    ...(values.json !== undefined && { json: values.json }),
    ...(values.figure !== undefined && { figure: values.figure }),
  };
}

function actionOf(values: Partial<Record<Exclude<TrainAction, 'start'>, boolean>>): TrainAction {
  const asked = (['list', 'follow', 'stop', 'resume'] as const).filter((name) => values[name] === true);
  const [first, second] = asked;
  if (second !== undefined) throw new UsageError(`--${first ?? ''} and --${second} at once: leave one out`);
  return first ?? 'start';
}

/** `rank=1,2,5`, several times. */
function parseSweep(texts: readonly string[]): SweepRecipe {
  const entries = texts.map((text) => {
    const cut = text.indexOf('=');
    const name = cut < 0 ? text : text.slice(0, cut);
    const values = cut < 0 ? [] : text.slice(cut + 1).split(',');
    const axis = AXES.find((known) => known.toLowerCase() === name.toLowerCase().replace(/-/g, ''));
    if (axis === undefined)
      throw new UsageError(
        `--sweep "${printable(text)}" names no axis${suggestion(name, AXES)}: choose ${AXES.join(', ')}`,
      );
    if (values.some((value) => value.trim() === '') || values.length === 0)
      throw new UsageError(`--sweep ${printable(text)}: name values, as ${axis}=${exampleOf(axis)}`);
    return [axis, axis === 'form' ? values : values.map((value) => numberOf(text, value))] as const;
  });
  // Held to the recipe's own rules when it is planned.
  return Object.fromEntries(entries);
}

function exampleOf(axis: keyof SweepRecipe): string {
  return axis === 'form' ? 'low-rank,sine' : axis === 'learningRate' ? '0.001,0.0003' : '1,2,5';
}

function numberOf(text: string, value: string): number {
  const number = Number(value);
  if (Number.isFinite(number)) return number;
  throw new UsageError(`--sweep ${printable(text)}: "${printable(value)}" is no number`);
}

function parseJobs(text: string): number {
  try {
    return parseThreads(text);
  } catch {
    throw new UsageError(`--jobs "${printable(text)}" is not a whole number from 1 to ${MAX_JOBS}`);
  }
}
