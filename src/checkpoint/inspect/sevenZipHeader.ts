/** The header of a 7z archive (7zFormat.txt of the LZMA SDK): which streams it has, how they are packed, their names. */
import { latin1, viewAt } from './byteRange';
import { rangeOfBytes } from './byteRange';

/** The header breaks the format, or is of a kind that is not read. */
export class SevenZipError extends Error {
  override readonly name = 'SevenZipError';
}

/** Streams, coders, files: more are not looked at. */
const MAX_ITEMS = 100_000;

const END = 0x00;
const PACK_INFO = 0x06;
const UNPACK_INFO = 0x07;
const SUBSTREAMS = 0x08;
const SIZES = 0x09;
const CHECKSUMS = 0x0a;
const FOLDERS = 0x0b;
const UNPACKED_SIZES = 0x0c;
const STREAM_COUNTS = 0x0d;
const NAMES = 0x11;
const EMPTY_STREAMS = 0x0e;

export interface Coder {
  /** Its number in hexadecimal: `00` stored, `030101` LZMA, `21` LZMA2. */
  readonly method: string;
  readonly properties: Uint8Array;
}

/** A packed stream and what comes of it. */
export interface Folder {
  readonly coders: readonly Coder[];
  /** Counted from the end of the signature header. */
  offset: number;
  packed: number;
  size: number;
  /** Sizes of the files in it, one after another. */
  files: number[];
}

/** Reads what headers are made of. */
export class HeaderReader {
  position = 0;

  constructor(private readonly bytes: Uint8Array) {}

  byte(): number {
    const value = this.bytes[this.position++];
    if (value === undefined) throw new SevenZipError('the header is cut off');
    return value;
  }

  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.position) throw new SevenZipError('the header is cut off');
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }

  /** Up to eight bytes: leading ones of the first byte say how many follow. */
  number(): number {
    const first = this.byte();
    let value = 0;
    for (let i = 0; i < 8; i++) {
      const mask = 0x80 >> i;
      if ((first & mask) === 0) return safe(value + (first & (mask - 1)) * 2 ** (8 * i));
      value += this.byte() * 2 ** (8 * i);
    }
    return safe(value);
  }

  count(): number {
    const count = this.number();
    if (count > MAX_ITEMS) throw new SevenZipError(`more than ${MAX_ITEMS} items`);
    return count;
  }

  numbers(count: number): number[] {
    return Array.from({ length: count }, () => this.number());
  }

  bits(count: number): boolean[] {
    const bytes = this.take(Math.ceil(count / 8));
    return Array.from({ length: count }, (_, i) => ((bytes[i >> 3] ?? 0) & (0x80 >> (i & 7))) !== 0);
  }

  /** Checksums of those that have one; they are not compared. @returns which have one. */
  checksums(count: number): boolean[] {
    const has = this.byte() === 1 ? new Array<boolean>(count).fill(true) : this.bits(count);
    this.take(4 * has.filter(Boolean).length);
    return has;
  }

  expect(id: number): void {
    if (this.byte() !== id) throw new SevenZipError('the header is damaged');
  }
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new SevenZipError('a size beyond any file');
  return value;
}

/** Packed streams, folders and what is in them, up to the end of the block. */
export function readStreams(reader: HeaderReader): Folder[] {
  let offset = 0;
  let packed: number[] = [];
  let folders: Folder[] = [];
  let hasChecksum: boolean[] = [];
  for (let id = reader.byte(); id !== END; id = reader.byte()) {
    if (id === PACK_INFO) {
      offset = reader.number();
      const count = reader.count();
      for (let field = reader.byte(); field !== END; field = reader.byte()) {
        if (field === SIZES) packed = reader.numbers(count);
        else if (field === CHECKSUMS) reader.checksums(count);
        else throw new SevenZipError('the header is damaged');
      }
    } else if (id === UNPACK_INFO) {
      ({ folders, hasChecksum } = readFolders(reader));
    } else if (id === SUBSTREAMS) readSubstreams(reader, folders, hasChecksum);
    else throw new SevenZipError('the header is damaged');
  }
  folders.forEach((folder, i) => {
    folder.offset = offset;
    folder.packed = packed[i] ?? 0;
    offset += folder.packed;
    if (folder.files.length === 0) folder.files = [folder.size];
  });
  return folders;
}

function readFolders(reader: HeaderReader): { folders: Folder[]; hasChecksum: boolean[] } {
  reader.expect(FOLDERS);
  const count = reader.count();
  reader.expect(0); // not kept elsewhere
  const folders = Array.from({ length: count }, () => readFolder(reader));
  reader.expect(UNPACKED_SIZES);
  for (const folder of folders) folder.size = reader.numbers(folder.coders.length).at(-1) ?? 0;
  let hasChecksum: boolean[] = [];
  for (let field = reader.byte(); field !== END; field = reader.byte()) {
    if (field !== CHECKSUMS) throw new SevenZipError('the header is damaged');
    hasChecksum = reader.checksums(count);
  }
  return { folders, hasChecksum };
}

/** Coders whose output is the next one's input, as simple archives have them. */
const MAX_CODERS = 4;

function readFolder(reader: HeaderReader): Folder {
  const count = reader.count();
  if (count < 1 || count > MAX_CODERS)
    throw new SevenZipError('streams that are packed in a way that is not read');
  const coders = Array.from({ length: count }, (): Coder => {
    const flags = reader.byte();
    const method = Buffer.from(reader.take(flags & 0x0f)).toString('hex');
    if ((flags & 0x10) !== 0) throw new SevenZipError('streams of several parts');
    const properties = (flags & 0x20) === 0 ? new Uint8Array(0) : reader.take(reader.number());
    return { method, properties };
  });
  for (let input = 1; input < count; input++) {
    // Pairs of a coder's input and the coder whose output it takes.
    const pair = reader.numbers(2);
    if (pair[0] !== input || pair[1] !== input - 1)
      throw new SevenZipError('streams in an order that is not read');
  }
  return { coders, offset: 0, packed: 0, size: 0, files: [] };
}

function readSubstreams(reader: HeaderReader, folders: Folder[], hasChecksum: readonly boolean[]): void {
  let counts = folders.map(() => 1);
  for (let field = reader.byte(); field !== END; field = reader.byte()) {
    if (field === STREAM_COUNTS) counts = folders.map(() => reader.count());
    else if (field === SIZES) {
      folders.forEach((folder, i) => {
        folder.files = reader.numbers(Math.max(0, (counts[i] ?? 1) - 1));
      });
    } else if (field === CHECKSUMS) {
      const unknown = counts.filter((count, i) => !(count === 1 && hasChecksum[i] === true));
      reader.checksums(unknown.reduce((sum, count) => sum + count, 0));
    } else throw new SevenZipError('the header is damaged');
  }
  folders.forEach((folder, i) => {
    // The last size is what is left.
    const rest = folder.size - folder.files.reduce((sum, size) => sum + size, 0);
    if ((counts[i] ?? 0) > 0) folder.files.push(Math.max(0, rest));
  });
}

/** Names of the files that are not empty, in order. */
export function readNames(reader: HeaderReader): string[] {
  const count = reader.count();
  let names: string[] = [];
  let isEmpty: boolean[] = [];
  for (let id = reader.byte(); id !== END; id = reader.byte()) {
    const field = reader.take(reader.number());
    const inner = new HeaderReader(field);
    if (id === EMPTY_STREAMS) isEmpty = inner.bits(count);
    if (id === NAMES && inner.byte() === 0)
      names = Buffer.from(inner.take(field.length - 1))
        .toString('utf16le')
        .split('\0')
        .slice(0, count);
  }
  return names.filter((_, i) => isEmpty[i] !== true);
}

/** Where the header lies, counted from the end of the signature header. */
export function headerPlace(
  start: Uint8Array,
): { readonly offset: number; readonly length: number } | undefined {
  const view = viewAt(rangeOfBytes(start), 12, 16);
  if (view === undefined || !latin1(start).startsWith('7z\xbc\xaf\x27\x1c')) return undefined;
  const offset = Number(view.getBigUint64(0, true));
  const length = Number(view.getBigUint64(8, true));
  return Number.isSafeInteger(offset + length) ? { offset, length } : undefined;
}
