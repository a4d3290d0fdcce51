/** Lets so many in at a time, in the order they came. */
export class Turnstile {
  private readonly queue: (() => void)[] = [];
  private inside = 0;

  constructor(private readonly most: number) {}

  /** Resolves with the way out. */
  async enter(): Promise<() => void> {
    if (this.inside < this.most) this.inside++;
    else
      await new Promise<void>((resolve) => {
        this.queue.push(resolve);
      });
    return () => {
      const next = this.queue.shift();
      if (next === undefined) this.inside--;
      else next();
    };
  }
}
