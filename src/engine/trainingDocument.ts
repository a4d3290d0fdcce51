/** `rankscope/training@1`: what came of runs. Its JSON Schema is in `media/schema/training.schema.json`; change both together. */
import type { RunEvent, RunState, RunSummary } from '../training/run/run';
import { readEvents } from '../training/run/runFolder';
import { TOOL } from './version';

export interface TrainedRun {
  readonly id: string;
  readonly folder: string;
  readonly label: string;
  readonly choices: RunSummary['record']['choices'];
  readonly form: RunSummary['record']['form'];
  readonly rank?: number;
  readonly seed: number;
  readonly launcher: RunSummary['record']['launcher'];
  readonly state: RunState;
  readonly message?: string;
  readonly step?: number;
  readonly steps?: number;
  readonly epoch?: number;
  readonly seconds: number;
  readonly metric?: string;
  readonly higherIsBetter?: boolean;
  /** Of the last evaluation, and the best one. */
  readonly value?: number;
  readonly best?: { readonly value: number; readonly step: number };
  readonly loss?: number;
  readonly parameters?: { readonly trained: number; readonly total: number; readonly dense: number };
  /** Parameters ÷ those of the same network dense. */
  readonly compressionRate?: number;
  readonly backend?: { readonly name: string; readonly about: string };
  /** Mean layer utilization at the last look, 0 … 1. */
  readonly utilization?: { readonly utilized: number; readonly original: number };
  readonly evaluations: readonly { readonly step: number; readonly value: number; readonly loss?: number }[];
}

/** Runs that differ in their seeds alone. */
export interface TrainingGroup {
  readonly label: string;
  readonly form: TrainedRun['form'];
  readonly rank?: number;
  readonly runs: readonly string[];
  /** Of the last evaluation, over the runs that are done; while none is, over those that have a value. */
  readonly mean?: number;
  /** Standard deviation of a sample; absent for a single run. */
  readonly deviation?: number;
  readonly parameters?: number;
  readonly compressionRate?: number;
}

export interface TrainingDocument {
  readonly schema: 'rankscope/training@1';
  readonly tool: typeof TOOL;
  readonly recipe: string;
  /** As it was started; absent for runs that were there. */
  readonly command?: string;
  readonly startedAt: string;
  /** From the start to the document. */
  readonly seconds: number;
  readonly runs: readonly TrainedRun[];
  readonly comparison: readonly TrainingGroup[];
}

/** @param began milliseconds of the clock */
export function trainingDocument(
  recipe: string,
  summaries: readonly RunSummary[],
  began: Date,
  command?: string,
): TrainingDocument {
  const runs = summaries.map(trainedRun);
  return {
    schema: 'rankscope/training@1',
    tool: TOOL,
    recipe,
    ...(command !== undefined && { command }),
    startedAt: began.toISOString(),
    seconds: (Date.now() - began.getTime()) / 1000,
    runs,
    comparison: comparisonOf(runs),
  };
}

function trainedRun({ folder, record, status }: RunSummary): TrainedRun {
  const events = readEvents(folder);
  const { id, label, choices, form, rank, seed, launcher } = record;
  const { state, seconds, parameters } = status;
  const { message, step, steps, epoch, metric, higherIsBetter, value, best, loss, backend } = status;
  const look = events.findLast((event) => event.kind === 'utilization');
  return {
    ...{ id, folder, label, choices, form, seed, launcher, state, seconds },
    ...given({ rank, message, step, steps, epoch, metric, higherIsBetter, value, best, loss, backend }),
    ...(parameters !== undefined && {
      parameters,
      compressionRate: parameters.total / parameters.dense,
    }),
    ...(look !== undefined && { utilization: { utilized: look.utilized, original: look.original } }),
    evaluations: events.filter(isEvaluation).map((event) => ({
      step: event.step,
      value: event.value,
      ...given({ loss: event.loss }),
    })),
  };
}

function isEvaluation(event: RunEvent): event is Extract<RunEvent, { kind: 'evaluation' }> {
  return event.kind === 'evaluation';
}

type Given<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what is undefined. */
function given<T extends object>(fields: T): Given<T> {
  // The same fields, of which some are not there.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>;
}

function comparisonOf(runs: readonly TrainedRun[]): readonly TrainingGroup[] {
  const groups = new Map<string, TrainedRun[]>();
  for (const run of runs) {
    const key = withoutSeed(run.label);
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups].map(([label, members]) => groupOf(label, members));
}

function groupOf(label: string, members: readonly TrainedRun[]): TrainingGroup {
  const [first] = members;
  // A run that has only begun is no measure of what it will come to.
  const done = members.filter(({ state }) => state === 'done');
  const counted = done.length > 0 ? done : members;
  const values = counted.flatMap(({ value }) => (value === undefined ? [] : [value]));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {
    label,
    form: first?.form ?? 'mixed',
    runs: members.map(({ id }) => id),
    ...given({
      rank: first?.rank,
      mean: values.length > 0 ? mean : undefined,
      deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : undefined,
      parameters: first?.parameters?.total,
      compressionRate: first?.compressionRate,
    }),
  };
}

/** What runs of one group have in common. */
function withoutSeed(label: string): string {
  return label.replace(/, seed \d+$/, '');
}
