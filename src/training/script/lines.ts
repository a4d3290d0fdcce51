/** Text that comes in pieces, taken apart into lines, in bounded memory whatever comes. */

/** A line longer than this is cut. */
export const MAX_LINE = 1 << 16;

export interface LineListener {
  /** @param cut characters that were left out at its end */
  onLine(line: string, cut: number): void;
  /** A line that is about to be written over: a progress bar's. */
  onProgress(line: string): void;
}

export class LineSplitter {
  private rest = '';
  private cut = 0;
  /** The last piece ended with a return: a line feed after it makes it the end of a line. */
  private hasReturned = false;

  constructor(private readonly listener: LineListener) {}

  push(piece: string): void {
    let from = 0;
    if (this.hasReturned && piece !== '') {
      this.hasReturned = false;
      if (piece.startsWith('\n')) {
        this.endLine();
        from = 1;
      } else {
        this.endProgress();
      }
    }
    const ends = /\r\n|\r|\n/g;
    ends.lastIndex = from;
    for (let match = ends.exec(piece); match !== null; match = ends.exec(piece)) {
      this.add(piece, from, match.index);
      from = ends.lastIndex;
      if (match[0] !== '\r') this.endLine();
      else if (from < piece.length) this.endProgress();
      else this.hasReturned = true;
    }
    this.add(piece, from, piece.length);
  }

  /** There is no more: what is left is a line too. */
  end(): void {
    this.hasReturned = false;
    if (this.rest !== '') this.endLine();
  }

  private add(piece: string, from: number, to: number): void {
    const taken = Math.min(to - from, MAX_LINE - this.rest.length);
    if (taken > 0) this.rest += piece.slice(from, from + taken);
    this.cut += to - from - taken;
  }

  private endLine(): void {
    const [line, cut] = this.take();
    this.listener.onLine(line, cut);
  }

  private endProgress(): void {
    const [line] = this.take();
    if (line !== '') this.listener.onProgress(line);
  }

  private take(): readonly [string, number] {
    const taken = [this.rest, this.cut] as const;
    this.rest = '';
    this.cut = 0;
    return taken;
  }
}
