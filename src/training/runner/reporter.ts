import type { RunEvent, StateRecord } from '../run/run';
import { appendEvents, writeState } from '../run/runFolder';

/** A state that only got further is written this often. */
const STATE_MS = 1000;

/** The state as its run knows it; the reporter adds when. */
export type Reported = Omit<StateRecord, 'updatedAt' | 'attempt' | 'seconds' | 'state'> &
  Partial<Pick<StateRecord, 'seconds' | 'state'>>;

/** What a run tells of itself: its state, about once a second and whenever it changes; its events, at once. */
export class Reporter {
  private state: StateRecord;
  private writtenAt = -Infinity;

  /**
   * @param before what earlier attempts came to
   * @param isOurs whether this process still has the run: once another one has taken it over, nothing is written any more
   */
  constructor(
    private readonly folder: string,
    attempt: number,
    before: StateRecord | undefined,
    private readonly isOurs: () => boolean,
  ) {
    const { message: _message, exitCode: _exitCode, secondsLeft: _left, ...kept } = before ?? { seconds: 0 };
    this.state = { ...kept, state: 'running', attempt, updatedAt: new Date().toISOString() };
    this.write();
  }

  get now(): StateRecord {
    return this.state;
  }

  /** What changed; a new state is written at once. */
  update(change: Reported): void {
    const isNews = change.state !== undefined && change.state !== this.state.state;
    this.state = { ...this.state, ...change, updatedAt: new Date().toISOString() };
    if (isNews || performance.now() - this.writtenAt >= STATE_MS) this.write();
  }

  /** Events, and what the newest of them say of the state. */
  tell(events: readonly RunEvent[]): void {
    if (this.isOurs()) appendEvents(this.folder, events);
    for (const event of events) this.learn(event);
  }

  /** Writes what was held back. */
  write(): void {
    if (this.isOurs()) writeState(this.folder, this.state);
    this.writtenAt = performance.now();
  }

  private learn(event: RunEvent): void {
    if (event.kind === 'train') {
      const { step, epoch, loss, seconds } = event;
      this.update({
        step,
        ...(epoch !== undefined && { epoch }),
        ...(loss !== undefined && { loss }),
        ...(seconds !== undefined && { seconds }),
      });
    }
    if (event.kind === 'evaluation') {
      const { step, metric, higherIsBetter, value } = event;
      this.update({ metric, higherIsBetter, value, best: this.bestWith(step, value, higherIsBetter) });
    }
  }

  private bestWith(step: number, value: number, higherIsBetter: boolean): NonNullable<StateRecord['best']> {
    const { best } = this.state;
    const isBetter = best === undefined || (higherIsBetter ? value > best.value : value < best.value);
    return isBetter ? { value, step } : best;
  }
}
