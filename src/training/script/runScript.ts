/** Runs a program of the user's, and tells what it reports. */
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { commandLine } from '../launchers/quote';
import { isStopRequested, readEvents, truncateEvents, type StoredRun } from '../run/runFolder';
import type { RunEvent, StateRecord } from '../run/run';
import { Tail } from '../run/tail';
import { commandOf } from './command';
import { scriptEnvironment, scriptPaths } from './environment';
import { EventBudget } from './eventBudget';
import { failureOf, LastLines } from './failure';
import type { LineListener } from './lines';
import { OutputLog } from './outputLog';
import { pythonOf } from './python';
import { parseReport, type Report } from './report';
import { ReportReader } from './reportEvents';
import { endLeftover, runProcess, type ProcessEnd } from './scriptProcess';

/** Clusters kill a job 30 s after they asked it to end: there must be time left to say what became of it. */
const GRACE_MILLISECONDS = 25_000;
/** Between two looks at what the helper wrote. */
const LOOK_MILLISECONDS = 250;
const STATE_MILLISECONDS = 1000;
/** A signal that ended the script was sent to us too, but may be heard later. */
const SIGNAL_MILLISECONDS = 300;

export interface ScriptOptions {
  /** Aborted when the run is to stop. */
  readonly signal: AbortSignal;
  /** `rankscope_log.py`. */
  readonly helper: string;
  /** The interpreter chosen in the editor. */
  readonly python?: string | undefined;
  readonly onEvents: (events: readonly RunEvent[]) => void;
  readonly onState: (state: Pick<StateRecord, 'seconds' | 'steps' | 'secondsLeft'>) => void;
  /** What the script prints, in whole lines; default: our own standard output. */
  readonly log?: (text: string) => void;
  /** From the wish to stop to the end by force; default 25 s. */
  readonly graceMilliseconds?: number;
}

export interface ScriptEnd {
  readonly state: 'done' | 'failed' | 'stopped';
  /** One line. */
  readonly message?: string;
  readonly exitCode?: number;
}

/**
 * Starts the script in its folder, and follows it to its end: reports from lines of JSON that it prints and from the
 * helper, all other lines into the log. When it is to stop, the `stop` file and SIGTERM say so to it.
 *
 * @throws Error in one line when it cannot be started
 */
export async function runScript(run: StoredRun, options: ScriptOptions): Promise<ScriptEnd> {
  const { script } = run.record.resolved.training;
  if (script === undefined) throw new Error('the recipe names no script');
  const { signal, log = toStandardOutput } = options;
  const paths = scriptPaths(run.folder);
  const hadLeftover = await endLeftover(paths.process);
  if (signal.aborted) return { state: 'stopped' };
  const command = commandOf(script, pythonOf(script, options.python));
  prepare(run.folder, options.helper);
  const onWish = (): void => {
    writeFileSync(paths.stop, '');
  };
  signal.addEventListener('abort', onWish, { once: true });
  const output = new OutputLog(log);
  if (hadLeftover) output.line('The script of an earlier attempt was still running: it was ended.');
  output.line(`$ ${commandLine(command)}`);
  const last = new LastLines();
  const follower = new Follower(run, options);
  const stdout: LineListener = {
    onLine: (line, cut) => {
      const report = cut > 0 ? undefined : parseReport(line);
      if (report !== undefined && ReportReader.isTelling(report)) follower.take(report);
      output.line(line, cut);
    },
    onProgress: (line) => {
      output.progress(line);
    },
  };
  const stderr: LineListener = {
    onLine: (line, cut) => {
      last.add(line);
      output.line(line, cut);
    },
    onProgress: (line) => {
      output.progress(line);
    },
  };
  try {
    const program = {
      command,
      folder: script.folder ?? path.dirname(run.record.recipe),
      env: scriptEnvironment(run, script),
      processFile: paths.process,
      stdout,
      stderr,
    };
    const end = await runProcess(program, signal, options.graceMilliseconds ?? GRACE_MILLISECONDS);
    return await endOf(end, run.folder, signal, last.reason);
  } finally {
    signal.removeEventListener('abort', onWish);
    await follower.end();
    output.end();
    for (const file of [paths.reports, paths.stop]) rmSync(file, { force: true });
  }
}

/** Files that the script finds when it begins. */
function prepare(folder: string, helper: string): void {
  const { modules, checkpoint, reports, stop } = scriptPaths(folder);
  for (const each of [modules, checkpoint]) mkdirSync(each, { recursive: true });
  copyFileSync(helper, path.join(modules, path.basename(helper)));
  // Those of an attempt that was cut off have been told, as far as they ever will be.
  writeFileSync(reports, '');
  rmSync(stop, { force: true });
}

async function endOf(
  { code, signal: by, wasKilled }: ProcessEnd,
  folder: string,
  signal: AbortSignal,
  reason: string | undefined,
): Promise<ScriptEnd> {
  const isByWish = by === 'SIGTERM' || by === 'SIGINT' || by === 'SIGHUP';
  if (code !== 0 && !signal.aborted) await delay(SIGNAL_MILLISECONDS);
  // The script may have seen the file before we did.
  const isStopped = signal.aborted || isStopRequested(folder) || isByWish;
  if (code === 0) return { state: isStopped ? 'stopped' : 'done' };
  if (wasKilled)
    return { state: 'stopped', message: 'the script did not end when it was asked to, and was killed' };
  if (isStopped) {
    // Python ends with a code and such a line when a signal interrupts it.
    const isInterrupted = reason === undefined || by !== null || /Interrupt|SignalException/.test(reason);
    const message = `the script was asked to stop, and ended with code ${code ?? '?'}: ${reason ?? ''}`;
    return { state: 'stopped', ...(!isInterrupted && { message }) };
  }
  return {
    state: 'failed',
    message: failureOf(code, by, reason),
    ...(code !== null && { exitCode: code }),
  };
}

function toStandardOutput(text: string): void {
  process.stdout.write(text);
}

/** Turns reports into events as they come, and tells how far the script is. */
class Follower {
  private readonly reader = new ReportReader();
  private readonly tail: Tail;
  private readonly budget: EventBudget;
  private readonly began = performance.now();
  private readonly secondsBefore: number;
  private isFirst = true;
  private first: { readonly step: number; readonly at: number } | undefined;
  private step = 0;
  private steps: number | undefined;
  private stateAt = -Infinity;
  private isOver = false;
  private readonly following: Promise<void>;

  constructor(
    private readonly run: StoredRun,
    private readonly options: ScriptOptions,
  ) {
    this.secondsBefore = run.state?.seconds ?? 0;
    this.tail = new Tail(scriptPaths(run.folder).reports);
    this.budget = new EventBudget((events) => {
      options.onEvents(events);
    });
    this.following = this.follow();
  }

  take(report: Report): void {
    const { events, steps } = this.reader.read(report, this.seconds);
    if (steps !== undefined) this.steps = steps;
    const [event] = events;
    if (event?.step !== undefined) this.getTo(event.step);
    this.budget.add(events);
  }

  async end(): Promise<void> {
    this.isOver = true;
    await this.following;
    await this.readReports();
    this.takeLine(this.tail.unfinished);
    this.budget.end();
    this.tellState();
  }

  private get seconds(): number {
    return this.secondsBefore + (performance.now() - this.began) / 1000;
  }

  private async follow(): Promise<void> {
    while (!this.isOver) {
      await this.readReports();
      this.budget.pass();
      if (performance.now() - this.stateAt >= STATE_MILLISECONDS) this.tellState();
      await delay(LOOK_MILLISECONDS);
    }
  }

  private async readReports(): Promise<void> {
    for (let more = true; more;) {
      const read = await this.tail.read().catch(() => undefined);
      for (const line of read?.lines ?? []) this.takeLine(line);
      more = read?.more ?? false;
    }
  }

  private takeLine(line: string): void {
    const report = parseReport(line);
    if (report !== undefined) this.take(report);
  }

  private getTo(step: number): void {
    if (this.isFirst) {
      this.isFirst = false;
      // What an earlier attempt told of this step and later ones is told again.
      const isAgain = readEvents(this.run.folder).some(
        (event) => (event.step ?? 0) >= step && event.kind !== 'note',
      );
      if (isAgain) truncateEvents(this.run.folder, step - 1);
    }
    this.step = step;
    this.first ??= { step, at: performance.now() };
  }

  private tellState(): void {
    this.stateAt = performance.now();
    const { steps, first, step } = this;
    const made = first === undefined ? 0 : step - first.step;
    const secondsLeft =
      first === undefined || steps === undefined || made <= 0
        ? undefined
        : (Math.max(0, steps - step) * (performance.now() - first.at)) / 1000 / made;
    this.options.onState({
      seconds: this.seconds,
      ...(steps !== undefined && { steps }),
      ...(secondsLeft !== undefined && { secondsLeft }),
    });
  }
}
