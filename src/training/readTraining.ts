/** The `training` section of a recipe. */
import path from 'node:path';
import { FORM_KINDS } from '../network/builtin/readNetwork';
import { optional, RecipeFields, type NumberLimits } from '../network/recipeFields';
import type {
  AugmentRecipe,
  LauncherRecipe,
  OptimizerRecipe,
  ResolvedTraining,
  ScheduleRecipe,
  ScriptRecipe,
  SweepRecipe,
  TrainingRecipe,
} from './recipe';

const DEFAULT_BATCH_SIZE = 64;
const DEFAULT_CHECKPOINT_MINUTES = 2;
const DEFAULT_OPTIMIZER: OptimizerRecipe = { kind: 'adam', learningRate: 1e-3 };

const MAX_BATCH_SIZE = 2 ** 24;
const MAX_STEPS = 2 ** 31;
const MAX_SEED = 2 ** 32 - 1;
const MAX_LIST = 1000;

const COUNT: NumberLimits = { min: 1, max: MAX_STEPS, isWhole: true };
const SHARE: NumberLimits = { min: 0, max: 1 };
const POSITIVE: NumberLimits = { above: 0 };
const SEED: NumberLimits = { min: 0, max: MAX_SEED, isWhole: true };

/** @param folder that relative paths start in. @throws CheckpointError naming the field */
export function readTraining(fields: RecipeFields, folder: string): ResolvedTraining {
  const training: TrainingRecipe = {
    ...optional('optimizer', readOptimizer(fields.object('optimizer'))),
    ...optional('schedule', readSchedule(fields.object('schedule'))),
    ...optional('ema', fields.number('ema', { above: 0, max: 0.999_999 })),
    ...optional('batchSize', fields.number('batchSize', { min: 1, max: MAX_BATCH_SIZE, isWhole: true })),
    ...optional('epochs', fields.number('epochs', { above: 0, max: MAX_STEPS })),
    ...optional('steps', fields.number('steps', COUNT)),
    ...optional('seed', fields.number('seed', SEED)),
    ...optional('augment', readAugment(fields.object('augment'))),
    ...optional('labelSmoothing', fields.number('labelSmoothing', { min: 0, max: 0.99 })),
    ...optional('clipNorm', fields.number('clipNorm', POSITIVE)),
    ...optional('freezeStatistics', fields.flag('freezeStatistics')),
    ...optional('evaluate', readEvaluate(fields.object('evaluate'))),
    ...optional('checkpointMinutes', fields.number('checkpointMinutes', { above: 0, max: 100_000 })),
    ...optional('script', readScript(fields.object('script'), folder)),
    ...optional('launcher', readLauncher(fields.object('launcher'))),
    ...optional('sweep', readSweep(fields.object('sweep'))),
  };
  requireLength(fields, training);
  fields.done();
  const { optimizer, schedule, batchSize, seed, checkpointMinutes, launcher } = training;
  return {
    ...training,
    optimizer: optimizer ?? DEFAULT_OPTIMIZER,
    schedule: schedule ?? { kind: 'cosine' },
    batchSize: batchSize ?? DEFAULT_BATCH_SIZE,
    seed: seed ?? 0,
    checkpointMinutes: checkpointMinutes ?? DEFAULT_CHECKPOINT_MINUTES,
    launcher: launcher ?? { kind: 'here' },
  };
}

/** A script knows itself how long it runs. */
function requireLength(fields: RecipeFields, { epochs, steps, script }: TrainingRecipe): void {
  if (script !== undefined) return;
  if (epochs === undefined && steps === undefined) fields.missing('epochs', 'or steps: how long to train');
  if (epochs !== undefined && steps !== undefined)
    throw fields.fieldError('steps', 'must be left out where epochs are given', steps);
}

function readOptimizer(fields: RecipeFields | undefined): OptimizerRecipe | undefined {
  if (fields === undefined) return undefined;
  const kind = fields.choice('kind', ['sgd', 'adam', 'adamw']) ?? fields.missing('kind', 'sgd, adam, adamw');
  const learningRate = fields.number('learningRate', POSITIVE) ?? fields.missing('learningRate', 'above 0');
  const weightDecay = optional('weightDecay', fields.number('weightDecay', { min: 0 }));
  const momentum = { min: 0, max: 0.999_999 };
  const read: OptimizerRecipe =
    kind === 'sgd'
      ? {
          kind,
          learningRate,
          ...weightDecay,
          ...optional('momentum', fields.number('momentum', momentum)),
          ...optional('nesterov', fields.flag('nesterov')),
        }
      : {
          kind,
          learningRate,
          ...weightDecay,
          ...optional('beta1', fields.number('beta1', momentum)),
          ...optional('beta2', fields.number('beta2', momentum)),
          ...optional('epsilon', fields.number('epsilon', POSITIVE)),
        };
  fields.done();
  return read;
}

function readSchedule(fields: RecipeFields | undefined): ScheduleRecipe | undefined {
  if (fields === undefined) return undefined;
  const kinds = ['constant', 'cosine', 'linear', 'exponential', 'steps'] as const;
  const kind = fields.choice('kind', kinds) ?? fields.missing('kind', kinds.join(', '));
  const epochs = fields.numbers('epochs', { min: 0, longest: MAX_LIST });
  const read: ScheduleRecipe = {
    kind,
    ...optional('warmupSteps', fields.number('warmupSteps', { min: 0, max: MAX_STEPS, isWhole: true })),
    ...optional('final', fields.number('final', kind === 'exponential' ? { above: 0, max: 1 } : SHARE)),
    ...optional('epochs', typeof epochs === 'number' ? [epochs] : epochs),
    ...optional('factor', fields.number('factor', { above: 0, max: 1 })),
  };
  if (kind === 'steps' && read.epochs === undefined)
    fields.missing('epochs', 'after which the learning rate is multiplied by factor');
  fields.done();
  return read;
}

function readAugment(fields: RecipeFields | undefined): AugmentRecipe | undefined {
  if (fields === undefined) return undefined;
  const read: AugmentRecipe = {
    ...optional('flip', fields.flag('flip')),
    ...optional('crop', fields.number('crop', { min: 0, max: 1024, isWhole: true })),
  };
  fields.done();
  return read;
}

function readEvaluate(fields: RecipeFields | undefined): TrainingRecipe['evaluate'] {
  if (fields === undefined) return undefined;
  const read = {
    ...optional('everySteps', fields.number('everySteps', COUNT)),
    ...optional('everyEpochs', fields.number('everyEpochs', { above: 0, max: MAX_STEPS })),
    ...optional('utilization', fields.flag('utilization')),
    ...optional('keepBest', fields.flag('keepBest')),
  };
  if (read.everySteps !== undefined && read.everyEpochs !== undefined)
    throw fields.fieldError('everySteps', 'must be left out where everyEpochs is given', read.everySteps);
  fields.done();
  return read;
}

function readScript(fields: RecipeFields | undefined, folder: string): ScriptRecipe | undefined {
  if (fields === undefined) return undefined;
  const absolute = (name: string): string | undefined => {
    const given = fields.text(name);
    return given === undefined ? undefined : path.resolve(folder, given);
  };
  const python = fields.text('python');
  const script: ScriptRecipe = {
    ...optional('file', absolute('file')),
    ...optional('module', fields.text('module')),
    ...optional('arguments', fields.texts('arguments', MAX_LIST)),
    // A command is looked up by the system; a path starts in the recipe's folder.
    ...optional(
      'python',
      python !== undefined && /[/\\]/.test(python) ? path.resolve(folder, python) : python,
    ),
    ...optional('torchrun', fields.number('torchrun', { min: 1, max: 1024, isWhole: true })),
    ...optional('folder', absolute('folder')),
    ...optional('environment', readEnvironment(fields.object('environment'))),
  };
  if ((script.file === undefined) === (script.module === undefined))
    fields.missing('file', 'a .py file, or module in its place');
  fields.done();
  return script;
}

function readEnvironment(fields: RecipeFields | undefined): Readonly<Record<string, string>> | undefined {
  if (fields === undefined) return undefined;
  const entries = fields.names().map((name) => {
    const value = fields.raw(name);
    const isPlain = typeof value === 'string' && !value.includes('\0') && /^[A-Za-z_]\w*$/.test(name);
    if (!isPlain) throw fields.fieldError(name, 'must be a text in quotes, under a name of letters', value);
    return [name, value] as const;
  });
  return Object.fromEntries(entries);
}

function readLauncher(fields: RecipeFields | undefined): LauncherRecipe | undefined {
  if (fields === undefined) return undefined;
  const kind = fields.choice('kind', ['here', 'slurm']) ?? fields.missing('kind', 'here, slurm');
  const jobs = optional('jobs', fields.number('jobs', { min: 1, max: 100_000, isWhole: true }));
  const read: LauncherRecipe =
    kind === 'here'
      ? { kind, ...jobs }
      : {
          kind,
          ...jobs,
          ...optional('partition', fields.text('partition')),
          ...optional('time', fields.text('time')),
          ...optional('cpus', fields.number('cpus', { min: 1, max: 4096, isWhole: true })),
          ...optional('memory', fields.text('memory')),
          ...optional('gpus', fields.text('gpus')),
          ...optional('setup', fields.texts('setup', MAX_LIST)),
          ...optional('options', fields.texts('options', MAX_LIST)),
          ...optional('node', fields.text('node')),
        };
  fields.done();
  return read;
}

/** A sweep that comes from a command's flags or a form, held to the same rules. @param file for messages. @throws CheckpointError */
export function readSweepOf(sweep: unknown, file: string): SweepRecipe {
  return readSweep(new RecipeFields(sweep, 'sweep', file)) ?? {};
}

/** Values tried one against another. */
function readSweep(fields: RecipeFields | undefined): SweepRecipe | undefined {
  if (fields === undefined) return undefined;
  const list = (name: keyof SweepRecipe, limits: NumberLimits): readonly number[] | undefined => {
    const values = fields.numbers(name, { ...limits, longest: MAX_LIST });
    return typeof values === 'number' ? [values] : values;
  };
  const forms = fields.texts('form', FORM_KINDS.length)?.map((form) => {
    const found = FORM_KINDS.find((known) => known === form);
    if (found === undefined)
      throw fields.fieldError('form', `must hold some of ${FORM_KINDS.join(', ')}`, form);
    return found;
  });
  const read: SweepRecipe = {
    ...optional('form', forms),
    ...optional('rank', list('rank', { min: 1, max: 65_536, isWhole: true })),
    ...optional('omega', list('omega', POSITIVE)),
    ...optional('gain', list('gain', POSITIVE)),
    ...optional('seed', list('seed', SEED)),
    ...optional('learningRate', list('learningRate', POSITIVE)),
  };
  fields.done();
  return read;
}
