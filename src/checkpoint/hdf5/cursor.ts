import type { CheckpointError } from '../errors';

/** Widths of addresses and of lengths in a file, in bytes (superblock: "Size of Offsets", "Size of Lengths"). */
export interface FieldSizes {
  readonly offset: number;
  readonly length: number;
}

/** Fields of a structure, one after another, little-endian as HDF5's metadata always is. */
export class Cursor {
  private readonly view: DataView;
  position = 0;

  constructor(
    readonly bytes: Uint8Array,
    private readonly sizes: FieldSizes,
    /** Address of the first byte. */
    readonly address: number,
    private readonly fail: (reason: string, address: number) => CheckpointError,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get remaining(): number {
    return this.bytes.length - this.position;
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }

  u16(): number {
    return this.view.getUint16(this.advance(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }

  /** An unsigned integer of any width up to eight bytes. @throws CheckpointError beyond 2⁵³ − 1 */
  uint(width: number): number {
    const start = this.advance(width);
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + (this.bytes[start + i] ?? 0);
    if (!Number.isSafeInteger(value)) throw this.error('a number beyond any file');
    return value;
  }

  /** A size or a count. */
  length(): number {
    return this.uint(this.sizes.length);
  }

  /** A length that may be "unlimited" (all ones), which is undefined. */
  limit(): number | undefined {
    return this.isAllOnes(this.sizes.length) ? undefined : this.length();
  }

  /** An address; undefined where the file says that there is none. */
  offset(): number | undefined {
    return this.isAllOnes(this.sizes.offset) ? undefined : this.uint(this.sizes.offset);
  }

  /** An address that must be there. */
  place(what: string): number {
    const offset = this.offset();
    if (offset === undefined) throw this.error(`no address for ${what}`);
    return offset;
  }

  skip(count: number): this {
    this.advance(count);
    return this;
  }

  /** Skips to the next multiple of `unit` bytes from the start. */
  align(unit: number): this {
    return this.skip((unit - (this.position % unit)) % unit);
  }

  take(count: number): Uint8Array {
    const start = this.advance(count);
    return this.bytes.subarray(start, start + count);
  }

  /** The next bytes as a cursor of their own. */
  part(count: number): Cursor {
    const start = this.position;
    return new Cursor(this.take(count), this.sizes, this.address + start, this.fail);
  }

  text(count: number): string {
    return textOf(this.take(count));
  }

  /** Text up to a zero byte, which is stepped over. */
  terminated(): string {
    const end = this.bytes.indexOf(0, this.position);
    if (end === -1) throw this.error('a name without an end');
    const text = this.text(end - this.position);
    this.position++;
    return text;
  }

  signature(expected: string): this {
    if (Buffer.from(this.take(expected.length)).toString('latin1') !== expected) {
      this.position -= expected.length;
      throw this.error(`"${expected}" was expected`);
    }
    return this;
  }

  error(reason: string): CheckpointError {
    return this.fail(reason, this.address + this.position);
  }

  private isAllOnes(width: number): boolean {
    if (this.remaining < width) return false;
    for (let i = 0; i < width; i++) if (this.bytes[this.position + i] !== 0xff) return false;
    this.position += width;
    return true;
  }

  private advance(count: number): number {
    const start = this.position;
    if (count < 0 || count > this.remaining) throw this.error('a structure that is cut off');
    this.position += count;
    return start;
  }
}

/** UTF-8 where it is valid, one character a byte where it is not, so that different names stay different. */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return Buffer.from(bytes).toString('latin1');
  }
}
