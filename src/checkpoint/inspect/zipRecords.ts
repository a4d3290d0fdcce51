/** The records of a ZIP archive (APPNOTE.TXT 6.3.10, §4.3), read as they stand: what is wrong is kept, not refused. */
import { latin1, viewAt, type ByteRange } from './byteRange';

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
const EXTRA_ZIP64 = 0x0001;
/** The largest checkpoints have some fifty thousand entries. */
const MAX_ENTRIES = 200_000;
/** Entries of a hundred bytes or so each, names included. */
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024;

/** What both headers say of an entry. */
export interface ZipHeader {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
}

export interface CentralHeader extends ZipHeader {
  /** Where it says that the local header lies, counted from the archive's beginning. */
  readonly local: number;
  /** Unix permissions and kind of file; 0 where the archive has none. */
  readonly mode: number;
}

export interface LocalHeader extends ZipHeader {
  readonly offset: number;
  readonly dataStart: number;
}

export interface ZipDirectory {
  readonly entries: readonly CentralHeader[];
  /** Entries it says it has. */
  readonly count: number;
  readonly start: number;
  /** One past the directory and its end records. */
  readonly end: number;
  /** Bytes before the archive: everything lies this much further than it says. */
  readonly prepended: number;
  readonly commentBytes: number;
  /** Bytes after the end record's comment. */
  readonly trailing: number;
  /** The end record counts entries that are not there. */
  readonly isCut: boolean;
}

/** The central directory, wherever the end record says it is; undefined where there is none. */
export function readDirectory(range: ByteRange): ZipDirectory | undefined {
  const tailLength = Math.min(range.size, END_BYTES + MAX_COMMENT_BYTES);
  const tailStart = range.size - tailLength;
  const tail = range.read(tailStart, tailLength);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.length);
  let fallback: ZipDirectory | undefined;
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (view.getUint32(at, true) !== END_SIGNATURE) continue;
    const commentBytes = Math.min(view.getUint16(at + 20, true), tail.length - at - END_BYTES);
    const found = directoryAt(range, tailStart + at, view, at, commentBytes);
    if (found?.trailing === 0) return found;
    fallback ??= found;
  }
  return fallback;
}

function directoryAt(
  range: ByteRange,
  position: number,
  view: DataView,
  at: number,
  commentBytes: number,
): ZipDirectory | undefined {
  const wide = wideRecord(range, position);
  const count = wide?.count ?? view.getUint16(at + 10, true);
  const length = wide?.length ?? view.getUint32(at + 12, true);
  const said = wide?.start ?? view.getUint32(at + 16, true);
  // The directory ends where the end records begin; what lies before the archive shifts it.
  const start = (wide?.position ?? position) - length;
  if (start < 0 || start > range.size) return undefined;
  const entries = centralHeaders(
    range,
    start,
    Math.min(length, MAX_DIRECTORY_BYTES),
    Math.min(count, MAX_ENTRIES),
  );
  if (entries.length === 0 && count > 0) return undefined;
  const end = position + END_BYTES + commentBytes;
  return {
    ...{ entries, count, start, end, commentBytes },
    prepended: start - said,
    trailing: range.size - end,
    isCut: entries.length < count,
  };
}

function wideRecord(range: ByteRange, end: number) {
  const locator = viewAt(range, end - LOCATOR64_BYTES, LOCATOR64_BYTES);
  if (locator?.getUint32(0, true) !== LOCATOR64_SIGNATURE) return undefined;
  // The record stands before its locator; where the locator says it is counts without what was prepended.
  for (const position of [end - LOCATOR64_BYTES - END64_BYTES, Number(locator.getBigUint64(8, true))]) {
    const record = viewAt(range, position, END64_BYTES);
    if (record?.getUint32(0, true) !== END64_SIGNATURE) continue;
    return {
      position,
      count: Number(record.getBigUint64(32, true)),
      length: Number(record.getBigUint64(40, true)),
      start: Number(record.getBigUint64(48, true)),
    };
  }
  return undefined;
}

function centralHeaders(range: ByteRange, start: number, length: number, count: number): CentralHeader[] {
  const bytes = range.read(start, length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: CentralHeader[] = [];
  for (let at = 0; entries.length < count && at + CENTRAL_BYTES <= bytes.length;) {
    if (view.getUint32(at, true) !== CENTRAL_SIGNATURE) break;
    const nameEnd = at + CENTRAL_BYTES + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const wide = wideSizes(bytes.subarray(nameEnd, extraEnd));
    const size = view.getUint32(at + 24, true);
    const compressed = view.getUint32(at + 20, true);
    const local = view.getUint32(at + 42, true);
    entries.push({
      name: textOf(bytes.subarray(at + CENTRAL_BYTES, nameEnd)),
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      // The wide field holds those that are full, in this order.
      size: size === 0xffffffff ? (wide.shift() ?? size) : size,
      compressed: compressed === 0xffffffff ? (wide.shift() ?? compressed) : compressed,
      local: local === 0xffffffff ? (wide.shift() ?? local) : local,
      mode: view.getUint16(at + 40, true),
    });
    at = extraEnd + view.getUint16(at + 32, true);
  }
  return entries;
}

/** The local header at `offset`, if there is one. */
export function readLocal(range: ByteRange, offset: number): LocalHeader | undefined {
  const view = viewAt(range, offset, LOCAL_BYTES);
  if (view?.getUint32(0, true) !== LOCAL_SIGNATURE) return undefined;
  const nameLength = view.getUint16(26, true);
  const extraLength = view.getUint16(28, true);
  const rest = range.read(offset + LOCAL_BYTES, nameLength + extraLength);
  const wide = wideSizes(rest.subarray(nameLength));
  const size = view.getUint32(22, true);
  const compressed = view.getUint32(18, true);
  return {
    name: textOf(rest.subarray(0, nameLength)),
    flags: view.getUint16(6, true),
    method: view.getUint16(8, true),
    crc: view.getUint32(14, true),
    size: size === 0xffffffff ? (wide.shift() ?? size) : size,
    compressed: compressed === 0xffffffff ? (wide.shift() ?? compressed) : compressed,
    offset,
    dataStart: offset + LOCAL_BYTES + nameLength + extraLength,
  };
}

/** The numbers of the ZIP64 extra field, in order. */
function wideSizes(extra: Uint8Array): number[] {
  const view = new DataView(extra.buffer, extra.byteOffset, extra.length);
  const numbers: number[] = [];
  for (let at = 0; at + 4 <= extra.length;) {
    const end = Math.min(extra.length, at + 4 + view.getUint16(at + 2, true));
    if (view.getUint16(at, true) === EXTRA_ZIP64)
      for (let field = at + 4; field + 8 <= end; field += 8)
        numbers.push(Number(view.getBigUint64(field, true)));
    at = end;
  }
  return numbers;
}

/** UTF-8 where it is valid, one character a byte where it is not, so that different names stay different. */
function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return latin1(bytes);
  }
}
