/** Follows the runs of a recipe: their states, and what they tell. */
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Launcher, PlaceStatus, RunToLaunch } from './launchers/launcher';
import type { LauncherRecipe } from './recipe';
import type { RunEvent, RunSummary } from './run/run';
import { isOver, parseEvents, readRun, runPaths, type StoredRun } from './run/runFolder';
import { Tail } from './run/tail';
import { listRuns, stateOf, summaryOf } from './runs';

/** Between two looks at files. */
const LOOK_MS = 250;

/** Between two looks at the folder: runs that others start. */
const LIST_MS = 1000;

/** A place that does not answer holds nothing up for longer than this: what it says is told when it comes. */
const PATIENCE_MS = 1000;

/** Between two questions to a place: processes are asked often, a cluster's controller seldom. */
const ASK_MS: Readonly<Record<LauncherRecipe['kind'], number>> = { here: 1000, slurm: 5000 };

export interface WatchOptions {
  /** Absolute. */
  readonly recipe: string;
  readonly launcherOf: (recipe: LauncherRecipe) => Launcher;
  readonly signal: AbortSignal;
  readonly onRun: (run: RunSummary) => void;
  readonly onGone: (folder: string) => void;
  readonly onEvents: (folder: string, from: number, events: readonly RunEvent[]) => void;
  /** Ends the watch when it says so, after a look at all runs. */
  readonly isEnough?: (runs: readonly RunSummary[]) => boolean;
}

/** Until the signal is aborted, or it is enough. */
export async function watchRuns(options: WatchOptions): Promise<readonly RunSummary[]> {
  const { signal, isEnough } = options;
  const watch = new Watch(options);
  for (;;) {
    const summaries = await watch.look();
    if (isEnough?.(summaries) === true) return summaries;
    try {
      await sleep(LOOK_MS, undefined, { signal });
    } catch {
      return summaries;
    }
  }
}

/** The states of runs, once. @returns in the order of the runs */
export async function summariesOf(
  runs: readonly StoredRun[],
  launcherOf: WatchOptions['launcherOf'],
  signal: AbortSignal,
): Promise<readonly RunSummary[]> {
  const places = await placesOf(runs, launcherOf, signal);
  return runs.map((run) => {
    // A run that ended while its place was asked has said so by now.
    const now = places.get(run.folder)?.kind === 'gone' ? readRun(run.folder) : run;
    return summaryOf(now, places.get(run.folder));
  });
}

/** What places say of runs that are not over. */
async function placesOf(
  runs: readonly StoredRun[],
  launcherOf: WatchOptions['launcherOf'],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, PlaceStatus>> {
  const live = runs.filter((run) => run.launch !== undefined && !isOver(stateOf(run, undefined)));
  const places = new Map<string, PlaceStatus>();
  for (const kind of new Set(live.map(({ record }) => record.resolved.training.launcher.kind))) {
    const own = live.filter(({ record }) => record.resolved.training.launcher.kind === kind);
    const [first] = own;
    if (first === undefined) continue;
    const launcher = launcherOf(first.record.resolved.training.launcher);
    const asked: readonly RunToLaunch[] = own;
    const answers = await launcher.status(asked, signal);
    own.forEach(({ folder }, i) => {
      const answer = answers[i];
      if (answer !== undefined) places.set(folder, answer);
    });
  }
  return places;
}

interface Watched {
  readonly tail: Tail;
  run: StoredRun;
  stamp: string;
  /** As it was told last. */
  told: string;
  summary: RunSummary;
  place?: PlaceStatus;
  events: number;
}

class Watch {
  private readonly watched = new Map<string, Watched>();
  private listedAt = -Infinity;
  private asking: Promise<void> | undefined;
  private readonly askedAt = new Map<LauncherRecipe['kind'], number>();

  constructor(private readonly options: WatchOptions) {}

  async look(): Promise<readonly RunSummary[]> {
    if (performance.now() - this.listedAt >= LIST_MS) this.list();
    for (const one of this.watched.values()) this.reread(one);
    await this.askPatiently();
    for (const one of this.watched.values()) {
      await this.follow(one);
      this.tell(one);
    }
    return [...this.watched.values()].map(({ summary }) => summary);
  }

  private list(): void {
    this.listedAt = performance.now();
    const there = new Set<string>();
    for (const run of listRuns(this.options.recipe)) {
      there.add(run.folder);
      if (this.watched.has(run.folder)) continue;
      const tail = new Tail(runPaths(run.folder).metrics);
      const summary = summaryOf(run, undefined);
      this.watched.set(run.folder, { tail, run, stamp: '', told: '', summary, events: 0 });
    }
    for (const folder of [...this.watched.keys()]) {
      if (there.has(folder)) continue;
      this.watched.delete(folder);
      this.options.onGone(folder);
    }
  }

  /** Reads a run's records when one of them was replaced. */
  private reread(one: Watched): void {
    const { launch, state, model, checkpoint } = runPaths(one.run.folder);
    const stamp = [launch, state, model, checkpoint]
      .map((file) => {
        const facts = statSync(file, { throwIfNoEntry: false });
        return facts === undefined ? '' : `${facts.mtimeMs}/${facts.ino}/${facts.size}`;
      })
      .join();
    if (stamp === one.stamp) return;
    try {
      one.run = readRun(one.run.folder);
      one.stamp = stamp;
    } catch {
      // Deleted meanwhile: the next list says so.
    }
  }

  private async askPatiently(): Promise<void> {
    this.asking ??= this.ask().finally(() => {
      this.asking = undefined;
    });
    await Promise.race([this.asking, sleep(PATIENCE_MS)]);
  }

  private async ask(): Promise<void> {
    const live = [...this.watched.values()].filter(({ run }) => !isOver(stateOf(run, undefined)));
    for (const kind of new Set(live.map(kindOf))) {
      const since = performance.now() - (this.askedAt.get(kind) ?? -Infinity);
      if (since < ASK_MS[kind]) continue;
      const own = live.filter((one) => kindOf(one) === kind);
      const { launcherOf, signal } = this.options;
      const places = await placesOf(
        own.map(({ run }) => run),
        launcherOf,
        signal,
      );
      this.askedAt.set(kind, performance.now());
      for (const one of own) {
        const place = places.get(one.run.folder);
        if (place === undefined) delete one.place;
        else one.place = place;
        // What it said last may be younger than what was read before its place was asked.
        if (place?.kind === 'gone') this.reread(one);
      }
    }
  }

  private async follow(one: Watched): Promise<void> {
    for (;;) {
      const { reset, lines, more } = await one.tail.read();
      const events = parseEvents(lines.join('\n'));
      if (reset) one.events = 0;
      if (reset || events.length > 0) this.options.onEvents(one.run.folder, one.events, events);
      one.events += events.length;
      if (!more) return;
    }
  }

  private tell(one: Watched): void {
    const isLive = !isOver(stateOf(one.run, undefined));
    one.summary = summaryOf(one.run, isLive ? one.place : undefined);
    const text = JSON.stringify(one.summary);
    if (text === one.told) return;
    one.told = text;
    this.options.onRun(one.summary);
  }
}

function kindOf({ run }: Watched): LauncherRecipe['kind'] {
  return run.record.resolved.training.launcher.kind;
}
