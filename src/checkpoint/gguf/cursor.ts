import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';

/** Read at once: a tokenizer's hundreds of thousands of strings take some twenty reads, and no more is ever held. */
const WINDOW_BYTES = 1024 * 1024;
/** Bytes before the tensors' values; ten times the largest tokenizer in use, and half a second of walking. */
const MAX_HEADER_BYTES = 128 * 1024 * 1024;
/** Above this half of a 64-bit number it is beyond 2^53. */
const MAX_UPPER_HALF = 2 ** 21;

/** How numbers are written: version 1 has lengths of 32 bits, later ones of 64; version 3 may be big-endian. */
export interface Writing {
  readonly wideLengths: boolean;
  readonly bigEndian: boolean;
}

/**
 * Walks over a GGUF header from front to back through a window of the file; strings that nobody asks for are stepped
 * over. (`@huggingface/gguf` would keep all of the metadata.)
 *
 * Every method throws CheckpointError with the byte offset: `malformed` where the file ends too early or a number is
 * beyond any file, `unsupported` where the header is longer than any in use.
 */
export class Cursor {
  private window: Uint8Array = new Uint8Array();
  private view: DataView = new DataView(new ArrayBuffer(0));
  private windowStart = 0;
  private next: number;

  constructor(
    private readonly file: RandomAccessFile,
    private readonly writing: Writing,
    start: number,
  ) {
    this.next = start;
  }

  /** Byte of the file that is read next. */
  get position(): number {
    return this.next;
  }

  uint8(): number {
    const at = this.take(1); // before the view, which it may replace
    return this.view.getUint8(at);
  }

  uint16(): number {
    const at = this.take(2);
    return this.view.getUint16(at, !this.writing.bigEndian);
  }

  uint32(): number {
    const at = this.take(4);
    return this.view.getUint32(at, !this.writing.bigEndian);
  }

  float32(): number {
    const at = this.take(4);
    return this.view.getFloat32(at, !this.writing.bigEndian);
  }

  /** A 64-bit number that counts something, at most 2^53 − 1. */
  uint64(): number {
    const at = this.take(8);
    const little = !this.writing.bigEndian;
    const upper = this.view.getUint32(little ? at + 4 : at, little);
    if (upper >= MAX_UPPER_HALF) {
      const value = this.view.getBigUint64(at, little);
      throw this.malformed(`a size of ${value} is beyond any file`, this.next - 8);
    }
    return upper * 2 ** 32 + this.view.getUint32(little ? at : at + 4, little);
  }

  /** A length or count, as wide as the file's version writes it. */
  length(): number {
    return this.writing.wideLengths ? this.uint64() : this.uint32();
  }

  /** UTF-8 text. @throws also when it is longer than `most` bytes; `what` names it: "a tensor's name" */
  text(most: number, what: string): string {
    const start = this.next;
    const length = this.length();
    if (length > most) throw this.malformed(`${what} of ${length} bytes, more than ${most}`, start);
    const at = this.take(length);
    return Buffer.from(this.window.buffer, this.window.byteOffset + at, length).toString('utf8');
  }

  /** Steps over bytes without reading them. */
  skip(bytes: number): void {
    if (bytes > this.file.size - this.next) this.endsEarly(bytes);
    this.next += bytes;
    if (this.next > MAX_HEADER_BYTES) {
      throw new CheckpointError('unsupported', `a header of more than ${MAX_HEADER_BYTES} bytes`, {
        file: this.file.path,
        offset: this.next,
      });
    }
  }

  /** Steps over strings; each takes at least its length's bytes, so that the file's size bounds their number. */
  skipTexts(count: number): void {
    for (let i = 0; i < count; i++) this.skip(this.length());
  }

  malformed(reason: string, offset = this.next): CheckpointError {
    return new CheckpointError('malformed', reason, { file: this.file.path, offset });
  }

  /** Place in the window of the next bytes, which are then done with. */
  private take(bytes: number): number {
    const at = this.next - this.windowStart;
    if (at + bytes > this.window.length) return this.refill(bytes);
    this.next += bytes;
    return at;
  }

  private refill(bytes: number): number {
    const start = this.next;
    this.skip(bytes);
    this.window = this.file.readSync(start, Math.min(this.file.size - start, Math.max(WINDOW_BYTES, bytes)));
    this.view = new DataView(this.window.buffer, this.window.byteOffset, this.window.length);
    this.windowStart = start;
    return 0;
  }

  private endsEarly(bytes: number): never {
    throw this.malformed(`needs ${bytes} bytes here, but the file ends at byte ${this.file.size}`);
  }
}
