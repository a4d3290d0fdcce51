/** What a script prints, as it comes into the run's log: for people, and never without end. */

/** Written at once, and thereafter this much a second on average: about 60 MB an hour. */
const BURST_CHARACTERS = 4 << 20;
const CHARACTERS_PER_SECOND = 16 << 10;
/** Of a line that is written; the rest is counted. */
const MAX_WRITTEN = 4000;
/** Between two states of a progress bar. */
const PROGRESS_MILLISECONDS = 5000;

export class OutputLog {
  private room = BURST_CHARACTERS;
  private filledAt: number;
  private progressAt = -Infinity;
  private leftOut = 0;

  /** @param now milliseconds, that only grow */
  constructor(
    private readonly write: (text: string) => void,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.filledAt = now();
  }

  /** @param cut characters of it that are already lost */
  line(text: string, cut = 0): void {
    const plain = cleaned(text);
    const more = Math.max(0, plain.length - MAX_WRITTEN) + cut;
    const tail = more > 0 ? `… and ${more} more characters` : '';
    this.put(`${plain.slice(0, MAX_WRITTEN)}${tail}\n`);
  }

  /** A line that is written over again and again: now and then. */
  progress(text: string): void {
    if (this.now() - this.progressAt < PROGRESS_MILLISECONDS) return;
    this.progressAt = this.now();
    this.line(text);
  }

  end(): void {
    this.tellLeftOut();
  }

  private put(text: string): void {
    const now = this.now();
    this.room += ((now - this.filledAt) / 1000) * CHARACTERS_PER_SECOND;
    this.room = Math.min(BURST_CHARACTERS, this.room);
    this.filledAt = now;
    if (this.room < text.length) {
      this.leftOut++;
      return;
    }
    this.tellLeftOut();
    this.room -= text.length;
    this.write(text);
  }

  private tellLeftOut(): void {
    if (this.leftOut === 0) return;
    this.write(`… ${this.leftOut} lines left out: the program prints more than is kept\n`);
    this.leftOut = 0;
  }
}

/** Without colours and other commands to a terminal; what cannot be printed is shown as such. */
export function cleaned(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex -- these are the characters to remove
      .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g, '')
      // eslint-disable-next-line no-control-regex -- these are the characters to replace
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd')
  );
}
