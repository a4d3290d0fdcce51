/** What a terminal says of the runs that it follows: how they are, how far, and what came of them, a line at a time. */
import { printable } from '../../../webview/model/names';
import { count, remaining, seconds } from '../../../webview/model/numbers';
import type { RunState, RunSummary } from '../../../webview/training/protocol';
import {
  digits,
  launcherText,
  metricText,
  metricTitle,
  reasonOf,
  stateTitle,
} from '../../../webview/training/model/words';
import { isLive } from './recipeRuns';

/** A run that only gets further is told of this often, in milliseconds. */
const PROGRESS_MS = 5000;

interface Told {
  readonly state: RunState;
  readonly step: number | undefined;
  readonly at: number;
}

export class RunNarrator {
  private readonly told = new Map<string, Told>();

  /**
   * @param runs all that are followed, as they are now
   * @param now in milliseconds
   * @param isLogged whether a run's own log says how far it is
   * @returns what is new
   */
  tell(runs: readonly RunSummary[], now: number, isLogged: (folder: string) => boolean): string[] {
    return runs.flatMap((run) => {
      const before = this.told.get(run.folder);
      const line = lineOf(run, before, now, isLogged(run.folder));
      if (line === undefined) return [];
      this.told.set(run.folder, { state: run.status.state, step: run.status.step, at: now });
      return [runs.length > 1 ? `${labelOf(run)}: ${line}` : line];
    });
  }
}

/** The name of a run before its lines. */
export function labelOf({ record }: RunSummary): string {
  return printable(record.label);
}

/** Undefined when there is nothing to say, or when it was said a moment ago. */
function lineOf(
  run: RunSummary,
  before: Told | undefined,
  now: number,
  isLogged: boolean,
): string | undefined {
  const { state, step } = run.status;
  if (before?.state !== state) return stateLine(run);
  if (isLogged || state !== 'running' || step === undefined || step === before.step) return undefined;
  return now - before.at < PROGRESS_MS ? undefined : progressLine(run);
}

function stateLine(run: RunSummary): string {
  const { state } = run.status;
  const title = stateTitle(state);
  if (state === 'running') return [title, placeOf(run)].join(' ');
  const reason = printable(reasonOf(run));
  const more = isLive(state) ? [] : [resultOf(run)];
  return [title, reason, ...more].filter((part) => part !== '').join(': ');
}

/** `on node1, wasm (WebAssembly, 2 threads)` */
function placeOf(run: RunSummary): string {
  const { backend } = run.status;
  const host = run.launch === undefined ? launcherText(run) : `on ${printable(run.launch.host)}`;
  return backend === undefined ? host : `${host}, ${printable(backend.name)} (${printable(backend.about)})`;
}

function resultOf({ status }: RunSummary): string {
  const { metric, value, best, seconds: taken } = status;
  const parts = [
    ...(value === undefined ? [] : [`${metricTitle(metric).toLowerCase()} ${metricText(metric, value)}`]),
    ...(best === undefined ? [] : [`best ${metricText(metric, best.value)} at step ${count(best.step)}`]),
    ...(taken > 0 ? [seconds(taken)] : []),
  ];
  return parts.join(', ');
}

function progressLine({ status }: RunSummary): string {
  const { step, steps, loss, metric, value, secondsLeft } = status;
  const parts = [
    ...(step === undefined ? [] : [`step ${count(step)}${steps === undefined ? '' : ` of ${count(steps)}`}`]),
    ...(loss === undefined ? [] : [`loss ${digits(loss)}`]),
    ...(value === undefined ? [] : [`${metricTitle(metric).toLowerCase()} ${metricText(metric, value)}`]),
    ...(secondsLeft === undefined ? [] : [`${remaining(secondsLeft)} left`]),
  ];
  return parts.join(' · ');
}

/** How much of a log waits to be written at most: what is older nobody would scroll back to. */
const MAX_WAITING = 256 * 1024;

/** A log as a terminal takes it: whole lines, a name before each where several runs share it, no more than is read. */
export class LogLines {
  private waiting = '';
  private isCut = false;

  /** @param prefix before each line; '' for none */
  constructor(private readonly prefix: string) {}

  add(text: string): void {
    this.waiting += text;
    if (this.waiting.length <= MAX_WAITING) return;
    this.waiting = this.waiting.slice(-MAX_WAITING);
    this.isCut = true;
  }

  /** Lines that are whole by now; at the end, also one that is not. */
  take(atEnd = false): string[] {
    const end = atEnd ? this.waiting.length : this.waiting.lastIndexOf('\n') + 1;
    const text = this.waiting.slice(0, end);
    this.waiting = this.waiting.slice(end);
    if (text === '') return [];
    const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
    // What was cut began in the middle of a line.
    const whole = this.isCut ? ['…', ...lines.slice(1)] : lines;
    this.isCut = false;
    return whole.map((line) => (this.prefix === '' ? line : `${this.prefix}: ${line}`));
  }
}
