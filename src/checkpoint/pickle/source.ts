import { CheckpointError } from '../errors';

/** Bytes fetched at a time. */
const WINDOW_BYTES = 64 * 1024;

const NEWLINE = 0x0a;

/** Longest line of a text opcode (a name, a number); none that is honest comes near. */
const MAX_LINE_BYTES = 64 * 1024;

/** A cursor over the bytes of a pickle, which may lie in a file of any size: only a window of it is in memory. */
export class PickleSource {
  private window: Buffer = Buffer.alloc(0);
  private windowStart = 0;

  constructor(
    private readonly load: (offset: number, length: number) => Uint8Array,
    /** One past the last byte. */
    readonly end: number,
    public position: number,
  ) {}

  static ofBytes(bytes: Uint8Array): PickleSource {
    return new PickleSource((offset, length) => bytes.subarray(offset, offset + length), bytes.length, 0);
  }

  get remaining(): number {
    return this.end - this.position;
  }

  byte(): number {
    let value = this.window[this.position - this.windowStart];
    if (value === undefined) {
      this.fetch(1);
      value = this.window[this.position - this.windowStart];
      if (value === undefined) throw this.truncated(1);
    }
    this.position++;
    return value;
  }

  /** The next `length` bytes; valid until the next call. */
  take(length: number): Uint8Array {
    this.requireRemaining(length);
    this.fetch(length);
    const start = this.position - this.windowStart;
    this.position += length;
    return this.window.subarray(start, start + length);
  }

  view(length: number): DataView {
    const bytes = this.take(length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  /** Steps over bytes without reading them. */
  skip(length: number): void {
    this.requireRemaining(length);
    this.position += length;
  }

  /** The next `length` bytes as text. */
  text(length: number, encoding: 'utf8' | 'latin1'): string {
    this.requireRemaining(length);
    this.fetch(length);
    const start = this.position - this.windowStart;
    this.position += length;
    return this.window.toString(encoding, start, start + length);
  }

  uint32(): number {
    return (this.byte() | (this.byte() << 8) | (this.byte() << 16) | (this.byte() << 24)) >>> 0;
  }

  /** Text up to the next newline, one character a byte. */
  line(): string {
    let start = this.position - this.windowStart;
    let end = this.window.indexOf(NEWLINE, start);
    if (start < 0 || end < 0) {
      this.fetch(Math.min(MAX_LINE_BYTES, this.remaining));
      start = this.position - this.windowStart;
      end = this.window.indexOf(NEWLINE, start);
    }
    if (end < 0 || end - start > MAX_LINE_BYTES) throw this.error('a line without an end');
    this.position += end + 1 - start;
    return this.window.toString('latin1', start, end);
  }

  requireRemaining(length: number): void {
    if (length > this.remaining) throw this.truncated(length);
  }

  error(reason: string): CheckpointError {
    return new CheckpointError('malformed', `pickle: ${reason}`, { offset: this.position });
  }

  private truncated(length: number): CheckpointError {
    return this.error(`needs ${length} more bytes, but only ${Math.max(0, this.remaining)} remain`);
  }

  /** Makes the next `length` bytes lie in the window (fewer at the end of the source). */
  private fetch(length: number): void {
    const start = this.position - this.windowStart;
    if (start >= 0 && start + length <= this.window.length) return;
    const ask = Math.min(this.remaining, Math.max(length, WINDOW_BYTES));
    if (ask <= 0) return;
    const bytes = this.load(this.position, ask);
    this.window = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.windowStart = this.position;
  }
}
