/** FlatBuffers (flatbuffers.dev, "Internals"), read from a file by ranges: every position is checked against its end. */
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';

/** Read at once: tables of one object lie close together, those of others far away behind the data. */
const PAGE_BYTES = 4096;
/** Held at a time; twice as many for a moment. */
const MAX_PAGES = 512;
/** Names and keys; anything longer is no name. */
const MAX_TEXT_BYTES = 64 * 1024;
/** All texts together: one may be referred to from any number of places. */
const MAX_TEXTS_BYTES = 64 * 1024 * 1024;

/** A run of elements in the file. */
export interface Vector {
  /** First byte of the first element. */
  readonly begin: number;
  readonly length: number;
}

/** Reads scalars, tables and vectors anywhere in a file. Every error names the byte. */
export class FlatBuffer {
  private pages = new Map<number, DataView>();
  private older = new Map<number, DataView>();
  private textBytes = 0;

  constructor(readonly file: RandomAccessFile) {}

  /** The table that the file begins with a reference to. */
  root(): Table {
    return new Table(this, this.target(0));
  }

  uint8(position: number): number {
    return this.at(position, 1, (view, i) => view.getUint8(i));
  }

  uint16(position: number): number {
    return this.at(position, 2, (view, i) => view.getUint16(i, true));
  }

  int32(position: number): number {
    return this.at(position, 4, (view, i) => view.getInt32(i, true));
  }

  uint32(position: number): number {
    return this.at(position, 4, (view, i) => view.getUint32(i, true));
  }

  float32(position: number): number {
    return this.at(position, 4, (view, i) => view.getFloat32(i, true));
  }

  int64(position: number): bigint {
    return this.at(position, 8, (view, i) => view.getBigInt64(i, true));
  }

  /** A 64-bit size or position. */
  uint64(position: number): bigint {
    return BigInt.asUintN(64, this.int64(position));
  }

  /** Where an offset leads: it is counted from its own place, and only forwards. */
  target(position: number): number {
    const offset = this.uint32(position);
    const target = position + offset;
    if (offset === 0 || target >= this.file.size)
      throw this.error(`an offset of ${offset} that leads out of the file`, position);
    return target;
  }

  /** @param width bytes of one element */
  vector(position: number, width: number): Vector {
    const begin = this.target(position);
    const length = this.uint32(begin);
    if (begin + 4 + length * width > this.file.size)
      throw this.error(`${length} elements of ${width} bytes that end behind the file`, begin);
    return { begin: begin + 4, length };
  }

  text(position: number): string {
    const { begin, length } = this.vector(position, 1);
    if (length > MAX_TEXT_BYTES) throw this.error('a name longer than any name', begin);
    this.textBytes += length;
    if (this.textBytes > MAX_TEXTS_BYTES) throw this.error('more names than any file has', begin);
    return Buffer.from(this.file.readSync(begin, length)).toString('utf8');
  }

  error(reason: string, offset: number): CheckpointError {
    return new CheckpointError('malformed', reason, { file: this.file.path, offset });
  }

  private at<T>(position: number, width: number, read: (view: DataView, index: number) => T): T {
    if (position < 0 || position + width > this.file.size) throw this.error('the file ends here', position);
    const index = position % PAGE_BYTES;
    // Scalars of honest files are aligned and never lie across the end of a page.
    if (index + width > PAGE_BYTES) return read(viewOf(this.file.readSync(position, width)), 0);
    return read(this.page(position - index), index);
  }

  private page(begin: number): DataView {
    const known = this.pages.get(begin) ?? this.older.get(begin);
    const page = known ?? viewOf(this.file.readSync(begin, Math.min(PAGE_BYTES, this.file.size - begin)));
    if (!this.pages.has(begin)) {
      if (this.pages.size >= MAX_PAGES) {
        this.older = this.pages;
        this.pages = new Map();
      }
      this.pages.set(begin, page);
    }
    return page;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A table: fields that may be absent, found through a table of their places. */
export class Table {
  private readonly places: number;
  private readonly placesBytes: number;

  constructor(
    private readonly buffer: FlatBuffer,
    readonly position: number,
  ) {
    // Unlike all other offsets this one is signed, and leads backwards as a rule.
    this.places = position - buffer.int32(position);
    this.placesBytes = this.places < 0 ? 0 : buffer.uint16(this.places);
    if (this.placesBytes < 4 || this.places + this.placesBytes > buffer.file.size)
      throw buffer.error('a table whose fields are nowhere', position);
  }

  /** Where a field stands, by its number in the schema; undefined for an absent one. */
  field(number: number): number | undefined {
    const entry = 4 + 2 * number;
    if (entry + 2 > this.placesBytes) return undefined;
    const offset = this.buffer.uint16(this.places + entry);
    return offset === 0 ? undefined : this.position + offset;
  }

  uint8(number: number): number {
    return this.scalar(number, (at) => this.buffer.uint8(at));
  }

  int32(number: number): number {
    return this.scalar(number, (at) => this.buffer.int32(at));
  }

  uint32(number: number): number {
    return this.scalar(number, (at) => this.buffer.uint32(at));
  }

  uint64(number: number): bigint {
    const at = this.field(number);
    return at === undefined ? 0n : this.buffer.uint64(at);
  }

  text(number: number): string {
    const at = this.field(number);
    return at === undefined ? '' : this.buffer.text(at);
  }

  table(number: number): Table | undefined {
    const at = this.field(number);
    return at === undefined ? undefined : new Table(this.buffer, this.buffer.target(at));
  }

  /** @param width bytes of one element. An absent vector has none. */
  vector(number: number, width: number): Vector {
    const at = this.field(number);
    return at === undefined ? { begin: 0, length: 0 } : this.buffer.vector(at, width);
  }

  /** Integers of 32 bits. @throws CheckpointError `malformed` for more than `most` */
  integers(number: number, most: number): number[] {
    return this.elements(number, 4, most, (at) => this.buffer.int32(at));
  }

  /** @throws CheckpointError `malformed` for more than `most` */
  floats(number: number, most: number): number[] {
    return this.elements(number, 4, most, (at) => this.buffer.float32(at));
  }

  /** Integers of 64 bits, the nearest doubles. @throws CheckpointError `malformed` for more than `most` */
  longs(number: number, most: number): number[] {
    return this.elements(number, 8, most, (at) => Number(this.buffer.int64(at)));
  }

  /** Tables by reference. @throws CheckpointError `malformed` for more than `most` */
  tables(number: number, most: number): Table[] {
    return this.elements(number, 4, most, (at) => new Table(this.buffer, this.buffer.target(at)));
  }

  private elements<T>(number: number, width: number, most: number, read: (at: number) => T): T[] {
    const { begin, length } = this.vector(number, width);
    if (length > most) throw this.buffer.error(`${length} elements, more than ${most}`, this.position);
    return Array.from({ length }, (_, i) => read(begin + i * width));
  }

  /** Absent numbers are 0. */
  private scalar(number: number, read: (at: number) => number): number {
    const at = this.field(number);
    return at === undefined ? 0 : read(at);
  }
}
