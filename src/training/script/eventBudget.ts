/**
 * Events of a script, thinned out where it tells of every step of a fast training: a chart has no use for more, and the
 * file of a run that lasts days would have no end.
 */
import type { RunEvent } from '../run/run';

/** Told as they come, and thereafter this many a second. */
const BURST = 2000;
const PER_SECOND = 4;

type Train = RunEvent & { readonly kind: 'train' };

export class EventBudget {
  private room = BURST;
  private filledAt: number;
  private train: { last: Train; sum: number; losses: number } | undefined;
  private readonly others = new Map<string, RunEvent>();

  /** @param now milliseconds, that only grow */
  constructor(
    private readonly tell: (events: readonly RunEvent[]) => void,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.filledAt = now();
  }

  add(events: readonly RunEvent[]): void {
    this.fill();
    if (this.train === undefined && this.others.size === 0 && this.room >= events.length) {
      this.room -= events.length;
      if (events.length > 0) this.tell(events);
      return;
    }
    for (const event of events) this.hold(event);
    this.pass();
  }

  /** Tells what was held back, if it is time. */
  pass(): void {
    this.fill();
    const held = this.others.size + (this.train === undefined ? 0 : 1);
    if (held > 0 && this.room >= held) this.end();
  }

  /** Tells what was held back. */
  end(): void {
    const events: RunEvent[] = [];
    if (this.train !== undefined) {
      const { last, sum, losses } = this.train;
      // A train event's loss is the mean since the one before.
      events.push(losses > 0 ? { ...last, loss: sum / losses } : last);
    }
    events.push(...this.others.values());
    this.train = undefined;
    this.others.clear();
    this.room -= events.length;
    if (events.length > 0) this.tell(events);
  }

  private hold(event: RunEvent): void {
    if (event.kind !== 'train') {
      // The newest of each kind.
      this.others.set(event.kind === 'evaluation' ? `${event.kind} ${event.metric}` : event.kind, event);
      return;
    }
    const { sum = 0, losses = 0 } = this.train ?? {};
    const has = event.loss !== undefined;
    this.train = { last: event, sum: sum + (event.loss ?? 0), losses: losses + (has ? 1 : 0) };
  }

  private fill(): void {
    const now = this.now();
    this.room = Math.min(BURST, this.room + ((now - this.filledAt) / 1000) * PER_SECOND);
    this.filledAt = now;
  }
}
