/** Painting at the screen's pace: many changes, one frame. */
export class Frames {
  private requested = false;

  constructor(private readonly paint: (now: number) => void) {}

  request(): void {
    if (this.requested) return;
    this.requested = true;
    requestAnimationFrame((now) => {
      this.requested = false;
      this.paint(now);
    });
  }
}

/** Least time between two paintings of what is dear while results stream in, in milliseconds. */
const STREAMING_INTERVAL = 100;
/** A painting that took long makes the next wait this many times as long: at most a fifth of the time goes there. */
const REST_FACTOR = 4;

/** Lets dear work through about ten times a second, less often when it is slow, and never drops the last. */
export class Throttle {
  private nextAt = 0;
  private timer: number | undefined;

  /** @param again asks for another frame */
  constructor(private readonly again: () => void) {}

  /** Runs the work now, or asks for a frame when it may. @param urgent a person waits for it */
  run(urgent: boolean, work: () => void): void {
    const now = performance.now();
    if (!urgent && now < this.nextAt) {
      this.timer ??= window.setTimeout(() => {
        this.timer = undefined;
        this.again();
      }, this.nextAt - now);
      return;
    }
    work();
    const after = performance.now();
    this.nextAt = after + Math.max(STREAMING_INTERVAL, (after - now) * REST_FACTOR);
  }
}
