import { CheckpointError } from '../errors';

/** A varint carries 64 bits, seven a byte. */
const MAX_VARINT_BYTES = 10;

/** Walks over bytes in memory; nothing is ever read beyond their end. */
export class Cursor {
  position = 0;

  constructor(
    private readonly bytes: Uint8Array,
    /** What the bytes are, for messages: `a block`. */
    private readonly what: string,
    private end = bytes.length,
  ) {}

  get left(): number {
    return this.end - this.position;
  }

  /** A little-endian number in groups of seven bits. @throws CheckpointError `malformed` beyond 2⁵³ − 1 */
  varint(): number {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      if (this.left === 0) throw this.error('ends within a number');
      const byte = this.bytes[this.position++] ?? 0;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte >= 0x80) continue;
      if (!Number.isSafeInteger(value)) throw this.error('holds a size beyond any file');
      return value;
    }
    throw this.error('holds a number that does not end');
  }

  byte(): number {
    return this.take(1)[0] ?? 0;
  }

  /** A view of the next bytes. */
  take(length: number): Uint8Array {
    if (length > this.left) throw this.error(`ends ${length - this.left} bytes too early`);
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }

  error(reason: string): CheckpointError {
    return new CheckpointError('malformed', `${this.what} ${reason}`);
  }
}
