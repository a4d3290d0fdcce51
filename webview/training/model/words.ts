/** What runs are and what their numbers mean, in words. */
import { compact, count, counted, percent, remaining, significant } from '../../model/numbers';
import { printable } from '../../model/names';
import type { CurveId, RunState, RunSummary } from '../protocol';
import type { Note } from './state';

/** Metrics that are shares of a hundred. */
const PERCENT_METRICS: readonly string[] = ['accuracy', 'iou'];

const METRIC_TITLES: Readonly<Record<string, string>> = {
  accuracy: 'Accuracy',
  psnr: 'PSNR',
  iou: 'IoU',
  perplexity: 'Perplexity',
};

export function metricTitle(metric: string | undefined): string {
  return metric === undefined ? 'Metric' : (METRIC_TITLES[metric] ?? printable(metric));
}

/** 91.63 %, 27.31 dB, or three digits that count. */
export function metricText(metric: string | undefined, value: number): string {
  if (metric !== undefined && PERCENT_METRICS.includes(metric)) return `${value.toFixed(2)}\u00a0%`;
  if (metric === 'psnr') return `${value.toFixed(2)}\u00a0dB`;
  return digits(value);
}

/** Differences of a metric: percentage points, decibels, or plain numbers. */
export function differenceText(metric: string | undefined, value: number): string {
  const sign = value < 0 ? '−' : '+';
  const size = Math.abs(value);
  if (metric !== undefined && PERCENT_METRICS.includes(metric))
    return `${sign}${size.toFixed(2)}\u00a0points`;
  if (metric === 'psnr') return `${sign}${size.toFixed(2)}\u00a0dB`;
  return `${sign}${digits(size)}`;
}

/** 0.3127, 12.31, 1.2e-5: a loss is told from the one before by its fourth digit. */
export function digits(value: number): string {
  const magnitude = Math.abs(value);
  if (value === 0 || (magnitude >= 1e-4 && magnitude < 1e6)) return String(Number(value.toPrecision(4)));
  return significant(value);
}

export function curveTitle(id: CurveId): string {
  switch (id) {
    case 'loss':
      return 'Loss';
    case 'validationLoss':
      return 'Validation loss';
    case 'learningRate':
      return 'Learning rate';
    case 'throughput':
      return 'Throughput';
    case 'utilized':
      return 'Utilization, mean';
    case 'original':
      return 'Rank, mean';
    default:
      return id.startsWith('metric:') ? metricTitle(id.slice(7)) : printable(id.slice(5));
  }
}

/** The unit on the axis of a curve. */
export function curveAxis(id: CurveId): string {
  if (id === 'throughput') return 'samples a second';
  if (id === 'utilized') return 'utilized rank ÷ most possible';
  if (id === 'original') return 'rank ÷ most possible';
  if (id === 'metric:psnr') return 'PSNR, dB';
  const title = curveTitle(id);
  return id.startsWith('metric:') && PERCENT_METRICS.includes(id.slice(7))
    ? `${title}, %`
    : title.toLowerCase();
}

export function curveText(id: CurveId, value: number): string {
  if (id.startsWith('metric:')) return metricText(id.slice(7), value);
  if (id === 'utilized' || id === 'original') return percent(value);
  if (id === 'throughput') return `${significant(value)}/s`;
  return digits(value);
}

const STATES: Readonly<Record<RunState, string>> = {
  queued: 'Queued',
  running: 'Running',
  stopping: 'Stopping',
  stopped: 'Stopped',
  done: 'Done',
  failed: 'Failed',
  diverged: 'Diverged',
  lost: 'Lost',
};

export function stateTitle(state: RunState): string {
  return STATES[state];
}

/** 0 … 1 of its steps; undefined where they are not told. */
export function fractionOf({ status }: RunSummary): number | undefined {
  const { state, step, steps } = status;
  if (state === 'done') return 1;
  if (step === undefined || steps === undefined || steps <= 0) return undefined;
  return Math.max(0, Math.min(1, step / steps));
}

/** What a row says of a run's state: `Running 42 %`. */
export function stateText(run: RunSummary): string {
  const title = stateTitle(run.status.state);
  const fraction = fractionOf(run);
  const goesOn = run.status.state !== 'done' && run.status.state !== 'queued';
  return goesOn && fraction !== undefined ? `${title} ${Math.floor(100 * fraction)}\u00a0%` : title;
}

/** Parameters to the last one while that can be read: 2,273, 1.28M. */
export function parametersText(parameters: number): string {
  return parameters < 100_000 ? count(parameters) : compact(parameters);
}

/** Why a run is as it is: its own words, then its place's. Of one that runs, its place only says where. */
export function reasonOf({ status, detail }: RunSummary): string {
  const place = status.state === 'running' ? undefined : detail;
  return [status.message, place].filter((text) => text !== undefined && text !== '').join(' · ');
}

const ORDER: readonly RunState[] = [
  'running',
  'stopping',
  'queued',
  'done',
  'stopped',
  'failed',
  'diverged',
  'lost',
];

/** `2 running, 1 queued, 3 done`; of one run only its state. */
export function statesText(runs: readonly RunSummary[]): string {
  if (runs.length === 1 && runs[0] !== undefined) return stateTitle(runs[0].status.state).toLowerCase();
  return ORDER.flatMap((state) => {
    const many = runs.filter(({ status }) => status.state === state).length;
    return many === 0 ? [] : [`${count(many)}\u00a0${stateTitle(state).toLowerCase()}`];
  }).join(', ');
}

/** The time until the last of these runs ends; undefined while one cannot say. */
export function secondsLeft(runs: readonly RunSummary[]): number | undefined {
  const live = runs.filter(({ status }) => status.state === 'running');
  if (live.length === 0 || runs.some(({ status }) => status.state === 'queued')) return undefined;
  const all = live.map(({ status }) => status.secondsLeft);
  return all.some((seconds) => seconds === undefined) ? undefined : Math.max(...all.map((s) => s ?? 0));
}

/** Where the runs on show are, and how far: `step 120 of 400 · 12 s left`. */
export function progressText(runs: readonly RunSummary[]): string {
  const [only] = runs;
  const left = secondsLeft(runs);
  const time = left === undefined ? [] : [`${remaining(left)} left`];
  if (only !== undefined && runs.length === 1) {
    const { step, steps } = only.status;
    const where =
      step === undefined
        ? []
        : [steps === undefined ? `step ${count(step)}` : `step ${count(step)} of ${count(steps)}`];
    return [...where, ...time].join(' · ');
  }
  const over = runs.filter(({ status }) => !isUnfinished(status.state)).length;
  return [`${count(over)} of ${counted(runs.length, 'run')} over`, ...time].join(' · ');
}

function isUnfinished(state: RunState): boolean {
  return state === 'queued' || state === 'running' || state === 'stopping';
}

/** Of what a run remarked, the newest; all is in its log. */
const MAX_NOTES = 3;

/** A run that was resumed remarks the same again: once is enough. */
export function noteTexts(notes: readonly Note[]): readonly string[] {
  const texts = notes.map(({ step, message }) =>
    step === undefined ? message : `step ${count(step)}: ${message}`,
  );
  return [...new Set(texts)].slice(-MAX_NOTES);
}

const LAUNCHERS: Readonly<Record<string, string>> = { here: 'this machine', slurm: 'Slurm' };

export function launcherText({ record, launch }: RunSummary): string {
  const place = LAUNCHERS[launch?.launcher ?? record.launcher] ?? printable(record.launcher);
  return launch?.jobId === undefined ? place : `${place} ${printable(launch.jobId)}`;
}

/** The command as a person could type it: what needs quotes has them. */
export function commandText(command: readonly string[]): string {
  return command
    .map((word) => (/^[\w@%+=:,./\\-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}

/** 2026-01-02 15:04, in the reader's time zone. */
export function timeText(iso: string | undefined): string | undefined {
  const date = new Date(iso ?? NaN);
  if (Number.isNaN(date.getTime())) return undefined;
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
