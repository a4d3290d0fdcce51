import type { Progress } from '../../engine/progress';

export interface FeedTiming {
  /** Least time between two rounds of messages, in milliseconds. */
  readonly roundMs: number;
  /** Pause between the messages of a round that does not fit into one. */
  readonly pauseMs: number;
  /** Singular values in one message, which the page has to take in between two frames. */
  readonly valuesPerMessage: number;
}

/** What a layer's other numbers and texts weigh, counted as values. */
const METRICS_PER_LAYER = 32;

/** Sixteen rounds a second look continuous; 16,384 values are 128 kB. */
const TIMING: FeedTiming = { roundMs: 60, pauseMs: 10, valuesPerMessage: 16_384 };

/** A layer of a job, by its place in the file. */
export interface Placed<Layer> {
  readonly index: number;
  readonly layer: Layer;
}

/** How a kind of job tells its page what every feed has to tell. */
export interface FeedWords<Opened, Layer, Message> {
  readonly opened: (opened: Opened) => Message;
  readonly layers: (layers: readonly Placed<Layer>[]) => Message;
  readonly progress: (progress: Progress) => Message;
  readonly notice: (message: string) => Message;
  /** Singular values that travel with a layer. */
  readonly values: (layer: Layer) => number;
  /** Whether a job that began again is about the same layers. */
  readonly same: (before: Opened, after: Opened) => boolean;
}

/**
 * Keeps the state of a panel's job, and brings the page up to it: layers in batches, everything again to a page that
 * was hidden or reloaded, nothing while there is none. The end comes after all layers.
 */
export class LayerFeed<Opened, Layer, Ending extends Message, Message> {
  protected opened: Opened | undefined;
  protected readonly layers = new Map<number, Layer>();
  protected progress: Progress | undefined;
  protected ending: Ending | undefined;
  protected notices: string[] = [];

  private attached = false;
  private resuming = false;
  private unsentOpened = false;
  private unsentLayers: number[] = [];
  private unsentProgress = false;
  private unsentEnding = false;
  private sentNotices = 0;
  private timer: NodeJS.Timeout | undefined;
  private lastRound = -Infinity;

  constructor(
    private readonly post: (message: Message) => void,
    private readonly words: FeedWords<Opened, Layer, Message>,
    private readonly timing: FeedTiming = TIMING,
  ) {}

  /** A page listens: send it everything. */
  attach(): void {
    this.attached = true;
    this.sendAgain();
    this.round();
  }

  /** There is no page: keep the state for the next one. */
  detach(): void {
    this.attached = false;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** A new job; the page keeps showing the last one until this one's file is open. */
  begin(): void {
    this.reset();
    this.notices = [];
    this.sentNotices = 0;
    this.resuming = false;
  }

  /** The same job goes on in another engine: layers that were finished stay. */
  resume(): void {
    this.resuming = true;
  }

  open(opened: Opened): void {
    const same = this.resuming && this.opened !== undefined && this.words.same(this.opened, opened);
    this.resuming = false;
    if (same) return;
    this.reset();
    this.opened = opened;
    this.unsentOpened = true;
    this.schedule();
  }

  progressed(progress: Progress): void {
    this.progress = progress;
    this.unsentProgress = true;
    this.schedule();
  }

  end(ending: Ending): void {
    this.ending = ending;
    this.unsentEnding = true;
    this.schedule();
  }

  /** Said when the file is open or the job has ended, so that a new job's first message does not sweep it away. */
  notice(message: string): void {
    this.notices.push(message);
    this.schedule();
  }

  /** A layer that came before is not told again. */
  protected add(index: number, layer: Layer): void {
    if (this.layers.has(index)) return;
    this.layers.set(index, layer);
    this.unsentLayers.push(index);
    this.schedule();
  }

  /** What this kind of job tells beside its layers, not yet sent; each round asks. */
  protected more(): readonly Message[] {
    return [];
  }

  /** A page that knows nothing listens: `more` shall give all of it again. */
  protected sendMoreAgain(): void {
    // Most jobs have nothing more.
  }

  /** A new job began. */
  protected forgetMore(): void {
    // Most jobs have nothing more.
  }

  private reset(): void {
    this.opened = undefined;
    this.layers.clear();
    this.progress = undefined;
    this.ending = undefined;
    this.forgetMore();
    this.sendAgain();
  }

  private sendAgain(): void {
    this.unsentOpened = this.opened !== undefined;
    this.unsentLayers = [...this.layers.keys()];
    this.unsentProgress = this.progress !== undefined;
    this.unsentEnding = this.ending !== undefined;
    this.sentNotices = 0;
    this.sendMoreAgain();
  }

  protected schedule(pauseMs = this.lastRound + this.timing.roundMs - performance.now()): void {
    if (!this.attached || this.timer !== undefined) return;
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
    const { words } = this;
    if (this.opened !== undefined && this.unsentOpened) {
      this.unsentOpened = false;
      this.post(words.opened(this.opened));
    }
    if (this.opened !== undefined || this.ending !== undefined) this.postNotices();
    this.postLayers();
    if (this.unsentLayers.length > 0) {
      this.schedule(this.timing.pauseMs);
      return;
    }
    if (this.opened !== undefined) for (const message of this.more()) this.post(message);
    if (this.progress !== undefined && this.unsentProgress) {
      this.unsentProgress = false;
      this.post(words.progress(this.progress));
    }
    if (this.ending !== undefined && this.unsentEnding) {
      this.unsentEnding = false;
      this.post(this.ending);
    }
  }

  private postNotices(): void {
    for (const message of this.notices.slice(this.sentNotices)) this.post(this.words.notice(message));
    this.sentNotices = this.notices.length;
  }

  private postLayers(): void {
    const batch: Placed<Layer>[] = [];
    let values = 0;
    let taken = 0;
    for (const index of this.unsentLayers) {
      const layer = this.layers.get(index);
      if (layer === undefined) continue;
      const size = METRICS_PER_LAYER + this.words.values(layer);
      if (batch.length > 0 && values + size > this.timing.valuesPerMessage) break;
      batch.push({ index, layer });
      values += size;
      taken++;
    }
    this.unsentLayers.splice(0, taken);
    if (batch.length > 0) this.post(this.words.layers(batch));
  }
}
