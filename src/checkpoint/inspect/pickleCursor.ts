import type { ByteRange } from './byteRange';

/** Bytes fetched at a time. */
const WINDOW_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** The bytes ended in the middle of an opcode. */
export class EndOfBytes extends Error {
  override readonly name = 'EndOfBytes';
}

/** A cursor over the bytes of a pickle; a window of it is in memory, and what is stepped over is never read. */
export class PickleCursor {
  private window: Uint8Array = new Uint8Array(0);
  private windowStart = 0;

  constructor(
    private readonly range: ByteRange,
    public position: number,
  ) {}

  get remaining(): number {
    return this.range.size - this.position;
  }

  byte(): number {
    let value = this.window[this.position - this.windowStart];
    if (value === undefined) {
      this.fetch();
      value = this.window[this.position - this.windowStart];
      if (value === undefined) throw new EndOfBytes();
    }
    this.position++;
    return value;
  }

  /** Little-endian, unsigned; beyond 2^53 the nearest double, which is beyond any file too. */
  unsigned(bytes: number): number {
    let value = 0;
    for (let i = 0; i < bytes; i++) value += this.byte() * 2 ** (8 * i);
    return value;
  }

  skip(length: number): void {
    if (length > this.remaining) throw new EndOfBytes();
    this.position += length;
  }

  /** The next bytes, one character each; the caller bounds `length`. */
  text(length: number): string {
    if (length > this.remaining) throw new EndOfBytes();
    let text = '';
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.byte());
    return text;
  }

  /**
   * Steps over a line. @returns its first `kept` characters, one a byte, and its length without the newline.
   */
  line(kept: number): { readonly text: string; readonly length: number } {
    const start = this.position;
    let text = '';
    for (;;) {
      if (this.position - this.windowStart >= this.window.length || this.position < this.windowStart)
        this.fetch();
      const from = this.position - this.windowStart;
      const end = this.window.indexOf(NEWLINE, from);
      const upTo = end < 0 ? this.window.length : end;
      // Where the bytes end without a newline Python takes the line without its last character.
      if (upTo === from && end < 0) {
        if (this.position === start) throw new EndOfBytes();
        return { text: text.slice(0, this.position - start - 1), length: this.position - start - 1 };
      }
      const room = kept - text.length;
      if (room > 0)
        text += Buffer.from(this.window.subarray(from, Math.min(upTo, from + room))).toString('latin1');
      this.position += upTo - from;
      if (end >= 0) break;
    }
    const length = this.position - start;
    this.position++;
    return { text, length };
  }

  private fetch(): void {
    this.window = this.range.read(this.position, WINDOW_BYTES);
    this.windowStart = this.position;
  }
}
