import type { RandomAccessFile } from '../file';

/** Bytes that are looked at by ranges: a file, a part of one, or what was decompressed. */
export interface ByteRange {
  readonly size: number;
  /** Up to `length` bytes from `offset` on; fewer, or none, where the range ends. */
  read(offset: number, length: number): Uint8Array;
}

export function rangeOfFile(file: RandomAccessFile): ByteRange {
  return within(file.size, (offset, length) => file.readSync(offset, length));
}

export function rangeOfBytes(bytes: Uint8Array): ByteRange {
  return within(bytes.length, (offset, length) => bytes.subarray(offset, offset + length));
}

/** The part [offset, offset + length) of a range, cut where the range ends. */
export function partOf(range: ByteRange, offset: number, length: number): ByteRange {
  const start = Math.min(Math.max(0, offset), range.size);
  const size = Math.min(Math.max(0, length), range.size - start);
  return within(size, (at, count) => range.read(start + at, count));
}

function within(size: number, load: (offset: number, length: number) => Uint8Array): ByteRange {
  return {
    size,
    read(offset, length) {
      const available = Math.max(0, Math.min(length, size - offset));
      return offset < 0 || available === 0 ? NOTHING : load(offset, available);
    },
  };
}

const NOTHING = new Uint8Array(0);

/** A view of `length` bytes at `offset`, or undefined where they are not all there. */
export function viewAt(range: ByteRange, offset: number, length: number): DataView | undefined {
  const bytes = range.read(offset, length);
  return bytes.length === length ? new DataView(bytes.buffer, bytes.byteOffset, length) : undefined;
}

/** One character a byte. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

export function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}
