import { inflateRawSync } from 'node:zlib';
import type { FileBytes } from './checkpoint';
import { CheckpointError } from './errors';
import type { RandomAccessFile } from './file';

/** A checkpoint has an entry for each storage; the largest have some fifty thousand. */
const MAX_ENTRIES = 200_000;
/** Entries of a hundred bytes or so each, names included. */
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024;
/** DEFLATE cannot shrink data by more than this: larger ratios are lies. */
const MAX_DEFLATE_RATIO = 1032;
/** What is inflated at once when an archive is opened: pickles and headers, never tensors. */
const MAX_INFLATED_BYTES = 128 * 1024 * 1024;

const END_BYTES = 22;
const END_SIGNATURE = 0x06054b50;
const MAX_COMMENT_BYTES = 0xffff;
const LOCATOR64_BYTES = 20;
const LOCATOR64_SIGNATURE = 0x07064b50;
const END64_BYTES = 56;
const END64_SIGNATURE = 0x06064b50;
const CENTRAL_BYTES = 46;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_BYTES = 30;
const LOCAL_SIGNATURE = 0x04034b50;

/** Bits of the flags that mean the data cannot be read as it stands: encryption, patches, masked headers. */
const UNREADABLE_FLAGS = 0x0001 | 0x0020 | 0x0040 | 0x2000;
const METHOD_STORED = 0;
const METHOD_DEFLATE = 8;
const EXTRA_ZIP64 = 0x0001;

export interface ZipEntry {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly compressedLength: number;
  readonly byteLength: number;
  readonly localHeader: number;
  /** Where its entry of the central directory begins. */
  readonly centralHeader: number;
  /** Where the next entry (or the directory) begins: this one's data must end before. */
  readonly limit: number;
}

/** The entries of a ZIP archive, from its central directory; the data stays in the file. */
export class ZipArchive {
  private constructor(
    readonly file: RandomAccessFile,
    readonly entries: ReadonlyMap<string, ZipEntry>,
  ) {}

  /** @throws CheckpointError `malformed` for entries that overlap, repeat a name, leave the archive or lie about sizes. */
  static async open(file: RandomAccessFile): Promise<ZipArchive> {
    const { start, length, count, end } = await findDirectory(file);
    if (length > MAX_DIRECTORY_BYTES || count > MAX_ENTRIES) {
      throw zipError('unsupported', `an archive of ${count} entries`, file.path, start);
    }
    const bytes = await file.read(start, length);
    const parsed = parseDirectory(bytes, count, file.path, start);
    return new ZipArchive(file, withLimits(parsed, Math.min(start, end), file.path));
  }

  /**
   * Where the data of an entry lies, after its local header has been compared with the directory.
   * Reads those few bytes at once: an archive may have thousands of entries.
   */
  locate(entry: ZipEntry): FileBytes {
    this.requireReadable(entry);
    const start = this.dataStart(entry);
    const { path } = this.file;
    if (entry.method === METHOD_STORED) {
      return { encoding: 'raw', path, offset: start, byteLength: entry.byteLength };
    }
    const { compressedLength, byteLength } = entry;
    return { encoding: 'deflate', path, offset: start, compressedLength, skip: 0, byteLength };
  }

  /** Where the data of an entry begins, compressed or not. */
  dataOffset(entry: ZipEntry): number {
    this.requireReadable(entry);
    return this.dataStart(entry);
  }

  /** All bytes of a small entry. @throws CheckpointError `unsupported` above MAX_INFLATED_BYTES. */
  read(entry: ZipEntry): Uint8Array {
    if (entry.byteLength > MAX_INFLATED_BYTES) {
      throw this.error(
        'unsupported',
        entry,
        `${entry.byteLength} bytes, more than ${MAX_INFLATED_BYTES}, to be read at once`,
      );
    }
    const place = this.locate(entry);
    if (place.encoding === 'raw') return this.file.readSync(place.offset, entry.byteLength);
    const inflated = this.inflate(
      entry,
      this.file.readSync(place.offset, entry.compressedLength),
      entry.byteLength,
    );
    if (inflated.length !== entry.byteLength) {
      throw this.error(
        'malformed',
        entry,
        `inflates to ${inflated.length} bytes instead of ${entry.byteLength}`,
      );
    }
    return inflated;
  }

  /** The first bytes of an entry, `length` of them or somewhat more; fewer when it is shorter. */
  readStart(entry: ZipEntry, length: number): Uint8Array {
    const place = this.locate(entry);
    if (place.encoding === 'raw') return this.file.readSync(place.offset, Math.min(length, entry.byteLength));
    // Data that does not compress grows a little.
    const compressed = Math.min(entry.compressedLength, length + 1024);
    return this.inflate(entry, this.file.readSync(place.offset, compressed), MAX_INFLATED_BYTES);
  }

  error(kind: 'malformed' | 'unsupported', entry: ZipEntry, reason: string): CheckpointError {
    return zipError(kind, `entry "${entry.name}": ${reason}`, this.file.path, entry.localHeader);
  }

  private inflate(entry: ZipEntry, compressed: Uint8Array, maxOutput: number): Uint8Array {
    try {
      // Z_SYNC_FLUSH gives what there is when the input stops early.
      return inflateRawSync(compressed, { maxOutputLength: Math.max(1, maxOutput), finishFlush: 2 });
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw this.error('malformed', entry, `does not inflate (${detail})`);
    }
  }

  private requireReadable(entry: ZipEntry): void {
    if ((entry.flags & UNREADABLE_FLAGS) !== 0)
      throw this.error('unsupported', entry, 'is encrypted or a patch');
    if (entry.method === METHOD_STORED) {
      if (entry.compressedLength !== entry.byteLength)
        throw this.error('malformed', entry, 'two sizes for data that is stored');
    } else if (entry.method === METHOD_DEFLATE) {
      if (entry.byteLength > entry.compressedLength * MAX_DEFLATE_RATIO) {
        throw this.error(
          'malformed',
          entry,
          `${entry.byteLength} bytes cannot come of ${entry.compressedLength} compressed ones`,
        );
      }
    } else
      throw this.error('unsupported', entry, `is compressed by method ${entry.method}, which is not read`);
  }

  private dataStart(entry: ZipEntry): number {
    const header = this.file.readSync(entry.localHeader, LOCAL_BYTES);
    const view = new DataView(header.buffer, header.byteOffset, LOCAL_BYTES);
    if (view.getUint32(0, true) !== LOCAL_SIGNATURE)
      throw this.error('malformed', entry, 'has no local header');
    const nameLength = view.getUint16(26, true);
    const name = this.file.readSync(entry.localHeader + LOCAL_BYTES, nameLength);
    const localName = textOf(name);
    if (localName !== entry.name) {
      throw this.error('malformed', entry, `is called "${localName}" where its data begins`);
    }
    if (view.getUint16(8, true) !== entry.method)
      throw this.error('malformed', entry, 'two compression methods');
    if ((view.getUint16(6, true) & UNREADABLE_FLAGS) !== 0)
      throw this.error('unsupported', entry, 'is encrypted or a patch');
    const start = entry.localHeader + LOCAL_BYTES + nameLength + view.getUint16(28, true);
    if (start + entry.compressedLength > entry.limit) {
      throw this.error('malformed', entry, 'overlaps what follows it');
    }
    return start;
  }
}

interface Directory {
  readonly start: number;
  readonly length: number;
  readonly count: number;
  /** Where the end records begin. */
  readonly end: number;
}

async function findDirectory(file: RandomAccessFile): Promise<Directory> {
  const tailLength = Math.min(file.size, END_BYTES + MAX_COMMENT_BYTES);
  const tailStart = file.size - tailLength;
  const tail = await file.read(tailStart, tailLength);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.length);
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (view.getUint32(at, true) !== END_SIGNATURE) continue;
    // The record that counts is the one whose comment ends the file.
    if (at + END_BYTES + view.getUint16(at + 20, true) !== tail.length) continue;
    const classic: Directory = {
      count: view.getUint16(at + 10, true),
      length: view.getUint32(at + 12, true),
      start: view.getUint32(at + 16, true),
      end: tailStart + at,
    };
    const directory = (await findDirectory64(file, classic)) ?? classic;
    if (directory.start + directory.length > directory.end) {
      throw zipError('malformed', 'the directory reaches beyond its end record', file.path, tailStart + at);
    }
    return directory;
  }
  throw zipError(
    'malformed',
    'no end record of a ZIP archive: the file is cut off or damaged',
    file.path,
    file.size,
  );
}

/** The 64-bit records are there when a classic field is full, and may be there otherwise. */
async function findDirectory64(file: RandomAccessFile, classic: Directory): Promise<Directory | undefined> {
  const locatorStart = classic.end - LOCATOR64_BYTES;
  const isNeeded = classic.count === 0xffff || classic.length === 0xffffffff || classic.start === 0xffffffff;
  const locator = locatorStart < 0 ? undefined : await file.read(locatorStart, LOCATOR64_BYTES);
  const view =
    locator === undefined ? undefined : new DataView(locator.buffer, locator.byteOffset, LOCATOR64_BYTES);
  if (view?.getUint32(0, true) !== LOCATOR64_SIGNATURE) {
    if (isNeeded) throw zipError('malformed', 'the 64-bit end record is missing', file.path, classic.end);
    return undefined;
  }
  const at = exact(view.getBigUint64(8, true), file.path, locatorStart);
  const record = await file.read(at, END64_BYTES);
  const record64 = new DataView(record.buffer, record.byteOffset, END64_BYTES);
  if (record64.getUint32(0, true) !== END64_SIGNATURE)
    throw zipError('malformed', 'no 64-bit end record', file.path, at);
  return {
    count: exact(record64.getBigUint64(32, true), file.path, at),
    length: exact(record64.getBigUint64(40, true), file.path, at),
    start: exact(record64.getBigUint64(48, true), file.path, at),
    end: at,
  };
}

type ParsedEntry = Omit<ZipEntry, 'limit'>;

function parseDirectory(bytes: Uint8Array, count: number, path: string, fileOffset: number): ParsedEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: ParsedEntry[] = [];
  let folder: string | undefined;
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > bytes.length || view.getUint32(at, true) !== CENTRAL_SIGNATURE) {
      throw zipError('malformed', `the directory ends after ${i} of ${count} entries`, path, fileOffset + at);
    }
    const nameLength = view.getUint16(at + 28, true);
    const extraLength = view.getUint16(at + 30, true);
    const nameEnd = at + CENTRAL_BYTES + nameLength;
    const next = nameEnd + extraLength + view.getUint16(at + 32, true);
    if (next > bytes.length)
      throw zipError('malformed', 'a directory entry is cut off', path, fileOffset + at);
    const sizes = entrySizes(view, at, nameEnd, extraLength, path, fileOffset);
    const name = textOf(bytes.subarray(at + CENTRAL_BYTES, nameEnd));
    folder ??= OWN_FOLDER.exec(name)?.[0] ?? '';
    requireInnocentName(name, folder, path, fileOffset + at);
    entries.push({
      name,
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      ...sizes,
      centralHeader: fileOffset + at,
    });
    at = next;
  }
  return entries;
}

/** Sizes and place of an entry; those that are full in the directory are in its 64-bit extra field, in this order. */
function entrySizes(
  view: DataView,
  at: number,
  extraStart: number,
  extraLength: number,
  path: string,
  fileOffset: number,
): Pick<ParsedEntry, 'byteLength' | 'compressedLength' | 'localHeader'> {
  let wide = -1;
  let wideEnd = -1;
  for (let field = extraStart; field + 4 <= extraStart + extraLength;) {
    const end = field + 4 + view.getUint16(field + 2, true);
    if (view.getUint16(field, true) === EXTRA_ZIP64 && end <= extraStart + extraLength) {
      wide = field + 4;
      wideEnd = end;
    }
    field = end;
  }
  const take = (narrow: number): number => {
    if (narrow !== 0xffffffff) return narrow;
    if (wide < 0 || wide + 8 > wideEnd) {
      throw zipError('malformed', 'a directory entry without its 64-bit sizes', path, fileOffset + at);
    }
    wide += 8;
    return exact(view.getBigUint64(wide - 8, true), path, fileOffset + at);
  };
  const byteLength = take(view.getUint32(at + 24, true));
  const compressedLength = take(view.getUint32(at + 20, true));
  const localHeader = take(view.getUint32(at + 42, true));
  return { byteLength, compressedLength, localHeader };
}

/** torch.save calls an archive's folder after the file without its extension: that of `...pt` is `..`. */
const OWN_FOLDER = /^\.\.\//;

/**
 * Nothing is ever extracted, but a name that leads out of the archive means that it was made to do harm.
 *
 * @param folder `../` when the archive's first entry lies in a folder of that name, as all must then; else empty
 */
function requireInnocentName(name: string, folder: string, path: string, offset: number): void {
  const inside = name.slice(folder.length);
  if (!name.startsWith(folder) || /^[/\\]|^[A-Za-z]:\\|(^|[/\\])\.\.([/\\]|$)|\0/.test(inside)) {
    throw zipError('malformed', `the name "${name}" leaves the archive`, path, offset);
  }
}

/** Requires distinct names and entries that lie one after another, before the directory. */
function withLimits(parsed: readonly ParsedEntry[], dataEnd: number, path: string): Map<string, ZipEntry> {
  const order = [...parsed].sort((a, b) => a.localHeader - b.localHeader);
  const limits = new Map<ParsedEntry, number>();
  order.forEach((entry, index) => {
    const limit = order[index + 1]?.localHeader ?? dataEnd;
    const shortest = entry.localHeader + LOCAL_BYTES + Buffer.byteLength(entry.name) + entry.compressedLength;
    if (shortest > limit) {
      throw zipError('malformed', `entry "${entry.name}" overlaps what follows it`, path, entry.localHeader);
    }
    limits.set(entry, limit);
  });
  const entries = new Map<string, ZipEntry>();
  for (const entry of parsed) {
    if (entries.has(entry.name)) {
      throw zipError('malformed', `two entries are called "${entry.name}"`, path, entry.localHeader);
    }
    entries.set(entry.name, { ...entry, limit: limits.get(entry) ?? dataEnd });
  }
  return entries;
}

/** UTF-8 where it is valid, one character a byte where it is not, so that different names stay different. */
function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return Buffer.from(bytes).toString('latin1');
  }
}

function exact(value: bigint, path: string, offset: number): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    throw zipError('malformed', 'a size beyond any file', path, offset);
  return Number(value);
}

function zipError(
  kind: 'malformed' | 'unsupported',
  reason: string,
  file: string,
  offset: number,
): CheckpointError {
  return new CheckpointError(kind, `ZIP: ${reason}`, { file, offset });
}
