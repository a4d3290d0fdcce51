import { CheckpointError } from '../../../checkpoint/errors';

const NEWLINE = 0x0a;
const BACKSLASH = '\\';
/** A face of ten thousand corners. */
const MAX_LINE_BYTES = 128 * 1024;

/** Lines of a text of plain characters, one by one; a line that ends in a backslash goes on in the next. */
export class TextLines {
  private readonly bytes: Buffer;
  private position: number;
  /** Of the line given last, from 1. */
  number = 0;

  constructor(bytes: Uint8Array, from = 0) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.position = from;
  }

  /** Byte after the line given last. */
  get offset(): number {
    return this.position;
  }

  /** Without the spaces around it; undefined behind the last. @throws CheckpointError for lines without an end */
  next(): string | undefined {
    let whole = '';
    for (;;) {
      const line = this.one();
      if (line === undefined) return whole === '' ? undefined : whole;
      if (!line.endsWith(BACKSLASH)) return whole === '' ? line : `${whole} ${line}`;
      whole += line.slice(0, -1);
      if (whole.length > MAX_LINE_BYTES) throw this.tooLong();
    }
  }

  private one(): string | undefined {
    const start = this.position;
    if (start >= this.bytes.length) return undefined;
    const newline = this.bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? this.bytes.length : newline;
    this.position = end + 1;
    this.number++;
    if (end - start > MAX_LINE_BYTES) throw this.tooLong();
    return this.bytes.toString('latin1', start, end).trim();
  }

  private tooLong(): CheckpointError {
    return new CheckpointError(
      'malformed',
      `line ${this.number} is longer than ${MAX_LINE_BYTES} characters`,
    );
  }
}
