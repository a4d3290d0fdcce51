import type {
  CurvePart,
  RecipeLook,
  RunEvent,
  RunSummary,
  ToTraining,
} from '../../../webview/training/protocol';
import { RunSeries } from './runSeries';

export interface FeedTiming {
  /** Least time between two rounds of messages, in milliseconds. */
  readonly roundMs: number;
  /** Pause between the messages of a round that does not fit into one. */
  readonly pauseMs: number;
  /** Numbers of curves in one message, which the page has to take in between two frames. */
  readonly numbersPerMessage: number;
}

const TIMING: FeedTiming = { roundMs: 80, pauseMs: 10, numbersPerMessage: 32_768 };

/** What is known of a recipe's runs. */
export interface TrainingState {
  /** `waiting`: nothing was heard yet. `failed`: runs cannot be followed now. */
  readonly status: 'waiting' | 'following' | 'failed';
  readonly message?: string;
  /** Newest first. */
  readonly runs: readonly RunSummary[];
  /** Events heard, by the run's folder. */
  readonly events: ReadonlyMap<string, number>;
  readonly notices: readonly string[];
  readonly look?: RecipeLook;
}

/**
 * Keeps what is known of a recipe's runs, and brings the page up to it: everything to a page that was hidden or reloaded,
 * then only what changed, a few messages a second; nothing while there is no page.
 */
export class TrainingFeed {
  private readonly known = new Map<string, RunSummary>();
  private readonly series = new Map<string, RunSeries>();
  private recipe: Extract<ToTraining, { type: 'recipe' }> | undefined;
  private notices: string[] = [];
  private failure: string | undefined;
  private isComplete = false;
  private wanted: string | undefined;

  private post: ((message: ToTraining) => void) | undefined;
  private readonly unsentRuns = new Set<string>();
  private readonly unsentGone = new Set<string>();
  private readonly unsentVoid = new Set<string>();
  private readonly unsentNotes = new Set<string>();
  private readonly unsentCurves = new Set<string>();
  private unsentRecipe = false;
  private unsentLayers = false;
  private unsentComplete = false;
  private unsentFailure = false;
  private sentNotices = 0;
  private timer: NodeJS.Timeout | undefined;
  private lastRound = -Infinity;

  constructor(private readonly timing: FeedTiming = TIMING) {}

  /** A page listens, and knows nothing. */
  attach(post: (message: ToTraining) => void): void {
    this.post = post;
    this.sendAgain();
    this.round();
  }

  /** There is no page: keep the state for the next one. */
  detach(): void {
    this.post = undefined;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  get state(): TrainingState {
    const { failure, isComplete, recipe } = this;
    return {
      status: failure !== undefined ? 'failed' : isComplete ? 'following' : 'waiting',
      runs: this.runs,
      events: new Map(Array.from(this.series, ([folder, { length }]) => [folder, length])),
      notices: [...this.notices],
      ...(failure !== undefined && { message: failure }),
      ...(recipe !== undefined && { look: recipe.look }),
    };
  }

  /** All runs were listed once. */
  get isKnown(): boolean {
    return this.isComplete;
  }

  /** Those that were started last first. */
  get runs(): readonly RunSummary[] {
    const time = ({ record }: RunSummary): number => Date.parse(record.createdAt);
    return [...this.known.values()].sort((a, b) => time(b) - time(a));
  }

  looked(look: RecipeLook, trusted: boolean): void {
    this.recipe = { type: 'recipe', look, trusted };
    this.unsentRecipe = true;
    this.schedule();
  }

  /** All runs that there are. */
  listed(runs: readonly RunSummary[]): void {
    const folders = new Set(runs.map(({ folder }) => folder));
    for (const folder of this.known.keys()) if (!folders.has(folder)) this.gone(folder);
    for (const run of runs) this.run(run);
    this.isComplete = true;
    this.unsentComplete = true;
    this.working();
    this.schedule();
  }

  run(run: RunSummary): void {
    this.working();
    const before = this.known.get(run.folder);
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(run)) return;
    this.known.set(run.folder, run);
    this.unsentGone.delete(run.folder);
    this.unsentRuns.add(run.folder);
    this.schedule();
  }

  gone(folder: string): void {
    this.known.delete(folder);
    this.series.delete(folder);
    for (const unsent of [this.unsentRuns, this.unsentNotes, this.unsentVoid, this.unsentCurves])
      unsent.delete(folder);
    this.unsentGone.add(folder);
    this.schedule();
  }

  /** @param from number of the first event; 0 again when all that was told of the run is void */
  events(folder: string, from: number, events: readonly RunEvent[]): void {
    this.working();
    let series = this.series.get(folder);
    if (series === undefined || (from === 0 && series.length > 0)) {
      if (series !== undefined) this.unsentVoid.add(folder);
      series = new RunSeries();
      this.series.set(folder, series);
    }
    // What was heard already is not taken in twice.
    for (const event of events.slice(Math.max(0, series.length - from))) this.event(folder, series, event);
    this.schedule();
  }

  private event(folder: string, series: RunSeries, event: RunEvent): void {
    series.add(event);
    if (event.kind === 'note') this.unsentNotes.add(folder);
    else this.unsentCurves.add(folder);
    if (event.kind === 'utilization' && folder === this.wanted) this.unsentLayers = true;
  }

  /** Whose layers the page shows. */
  wantLayers(folder: string | undefined): void {
    this.wanted = folder;
    this.unsentLayers = folder !== undefined;
    this.schedule();
  }

  notice(message: string): void {
    this.notices.push(message);
    this.schedule();
  }

  failed(message: string): void {
    this.failure = message;
    this.unsentFailure = true;
    this.schedule();
  }

  private working(): void {
    if (this.failure === undefined) return;
    this.failure = undefined;
    // Any message about runs tells the page.
    this.unsentComplete = true;
  }

  private sendAgain(): void {
    for (const unsent of [this.unsentGone, this.unsentVoid]) unsent.clear();
    for (const folder of this.known.keys()) this.unsentRuns.add(folder);
    for (const [folder, { curves, notes }] of this.series) {
      for (const curve of curves.values()) curve.untake();
      this.unsentCurves.add(folder);
      if (notes.length > 0) this.unsentNotes.add(folder);
    }
    this.unsentRecipe = this.recipe !== undefined;
    this.unsentComplete = this.isComplete;
    this.unsentFailure = this.failure !== undefined;
    // A page says whose layers it shows once it knows the runs.
    this.wanted = undefined;
    this.unsentLayers = false;
    this.sentNotices = 0;
  }

  private schedule(pauseMs = this.lastRound + this.timing.roundMs - performance.now()): void {
    if (this.post === undefined || this.timer !== undefined) return;
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.round();
      },
      Math.max(0, pauseMs),
    );
  }

  private round(): void {
    this.lastRound = performance.now();
    const { post } = this;
    if (post === undefined) return;
    for (const message of this.due()) post(message);
    if (this.unsentCurves.size > 0) this.schedule(this.timing.pauseMs);
  }

  private due(): ToTraining[] {
    const messages: ToTraining[] = [];
    if (this.unsentRecipe && this.recipe !== undefined) messages.push(this.recipe);
    this.unsentRecipe = false;
    messages.push(...this.dueRuns());
    const voided = taken(this.unsentVoid);
    if (voided.length > 0) messages.push({ type: 'void', folders: voided });
    const curves = this.dueCurves();
    if (curves.length > 0) messages.push({ type: 'curves', curves });
    messages.push(...this.dueNotes());
    const layers = this.unsentLayers ? this.layersOfWanted() : undefined;
    if (layers !== undefined) messages.push({ type: 'layers', layers });
    this.unsentLayers = false;
    for (const message of this.notices.slice(this.sentNotices)) messages.push({ type: 'notice', message });
    this.sentNotices = this.notices.length;
    if (this.unsentFailure && this.failure !== undefined)
      messages.push({ type: 'failed', message: this.failure });
    this.unsentFailure = false;
    return messages;
  }

  private dueRuns(): ToTraining[] {
    const messages: ToTraining[] = [];
    const gone = taken(this.unsentGone);
    if (gone.length > 0) messages.push({ type: 'gone', folders: gone });
    const runs = taken(this.unsentRuns).flatMap((folder) => this.known.get(folder) ?? []);
    if (runs.length > 0 || this.unsentComplete)
      messages.push({ type: 'runs', runs, complete: this.isComplete });
    this.unsentComplete = false;
    return messages;
  }

  /** As many as fit into one message; the others wait for the next. */
  private dueCurves(): CurvePart[] {
    const parts: CurvePart[] = [];
    let room = this.timing.numbersPerMessage;
    for (const folder of this.unsentCurves) {
      for (const [id, curve] of this.series.get(folder)?.curves ?? NO_CURVES) {
        if (!curve.hasUntaken) continue;
        if (parts.length > 0 && curve.untaken > room) return parts;
        const part = curve.take();
        if (part === undefined) continue;
        room -= part.values.length;
        parts.push({ folder, id, ...part });
      }
      this.unsentCurves.delete(folder);
    }
    return parts;
  }

  private dueNotes(): ToTraining[] {
    return taken(this.unsentNotes).flatMap((folder): ToTraining[] => {
      const notes = this.series.get(folder)?.notes ?? [];
      return notes.length === 0 ? [] : [{ type: 'notes', folder, notes }];
    });
  }

  private layersOfWanted() {
    return this.wanted === undefined ? undefined : this.series.get(this.wanted)?.layers(this.wanted);
  }
}

const NO_CURVES: RunSeries['curves'] = new Map();

function taken(unsent: Set<string>): string[] {
  const folders = [...unsent];
  unsent.clear();
  return folders;
}
