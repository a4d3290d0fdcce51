import { constants, inflateRawSync } from 'node:zlib';
import { crc32 } from '../write/crc32';
import { latin1, partOf, rangeOfBytes, type ByteRange } from './byteRange';
import { MAX_INFLATED_BYTES, MAX_PARTS, inside, pause, type Context, type Part } from './context';
import { isPlainArray } from './numpy';
import { beginsPickle } from './pickles';
import { ownFolder, reportDifferences, reportDirectory, reportEntry } from './zipTricks';
import {
  readDirectory,
  readLocal,
  type CentralHeader,
  type LocalHeader,
  type ZipDirectory,
} from './zipRecords';

const STORED = 0;
const DEFLATE = 8;
/** Longest stored entry whose checksum is compared: pickles and headers, not tensors. */
const MAX_CHECKED_BYTES = 16 * 1024 * 1024;
/** Compressed bytes that tell what an entry is. */
const HEAD_BYTES = 4096;
/** Bytes between entries that are searched for hidden ones; padding is some sixty bytes. */
const MAX_GAP_SEARCHED = 1024 * 1024;
/** Entries between two looks at the cancellation. */
const ENTRIES_AT_ONCE = 500;
const LOCAL_MARK = 'PK\x03\x04';

/** An entry as its data lies in the archive. */
interface Stretch {
  readonly header: LocalHeader;
  readonly central: CentralHeader | undefined;
  readonly end: number;
}

/** Whether a range ends as a ZIP archive does. */
export function endsAsZip(range: ByteRange): boolean {
  return (readDirectory(range)?.entries.length ?? 0) > 0;
}

/**
 * A ZIP archive, by its directory and by its local headers: what only one of them knows is looked at too. Nothing is
 * refused; what is odd is told.
 *
 * @returns what the archive is, for people; undefined when there is no directory.
 */
export async function inspectZip(part: Part, context: Context): Promise<string | undefined> {
  const { range, where } = part;
  const { report } = context;
  const directory = readDirectory(range);
  report.parts++;
  if (directory === undefined)
    report.find(
      'suspicious',
      'archive',
      'an archive without a directory: it is cut off or damaged',
      where,
      range.size,
    );
  else reportDirectory(directory, where, report);
  const stretches = listed(directory, part, context);
  const hidden = hiddenEntries(range, stretches, directory?.start ?? range.size);
  for (const { header } of hidden)
    report.find(
      'suspicious',
      'archive',
      `entry "${header.name}" is not in the directory`,
      where,
      header.offset,
    );
  reportOverlaps(stretches, where, context);
  const names = (directory?.entries ?? hidden.map(({ header }) => header)).map(({ name }) => name);
  const hasPickle = names.some((name) => /(?:^|\/)data\.pkl$/.test(name));
  let done = 0;
  for (const stretch of [...stretches, ...hidden]) {
    if (++done % ENTRIES_AT_ONCE === 0) await pause(context.signal);
    if (done > MAX_PARTS) {
      report.find('unknown', 'limit', `more than ${MAX_PARTS} entries, the rest not looked at`, where);
      break;
    }
    await inspectEntry(stretch, hasPickle, part, context);
  }
  return directory === undefined ? undefined : archiveFormat(names, hasPickle);
}

/** Entries of the directory with their local headers, where these are. */
function listed(directory: ZipDirectory | undefined, { range, where }: Part, { report }: Context): Stretch[] {
  if (directory === undefined) return [];
  const folder = ownFolder(directory.entries);
  return directory.entries.flatMap((central) => {
    reportEntry(central, folder, where, report);
    const header = readLocal(range, central.local + directory.prepended) ?? readLocal(range, central.local);
    if (header === undefined) {
      report.find(
        'suspicious',
        'archive',
        `entry "${central.name}" is not where the directory says`,
        where,
        central.local,
      );
      return [];
    }
    reportDifferences(central, header, where, report);
    return [{ header, central, end: header.dataStart + Math.max(central.compressed, header.compressed) }];
  });
}

function reportOverlaps(stretches: readonly Stretch[], where: string, { report }: Context): void {
  const order = [...stretches].sort((a, b) => a.header.offset - b.header.offset);
  order.forEach((stretch, i) => {
    const next = order[i + 1];
    if (
      next !== undefined &&
      stretch.header.dataStart + (stretch.central?.compressed ?? 0) > next.header.offset
    )
      report.find(
        'suspicious',
        'archive',
        `entry "${stretch.header.name}" overlaps the next`,
        where,
        next.header.offset,
      );
  });
}

/** Local headers in the gaps that the directory's entries leave. */
function hiddenEntries(range: ByteRange, known: readonly Stretch[], end: number): Stretch[] {
  const order = [...known].sort((a, b) => a.header.offset - b.header.offset);
  const found: Stretch[] = [];
  let position = 0;
  for (const next of [...order, undefined]) {
    const limit = next?.header.offset ?? end;
    while (position < limit && found.length < MAX_PARTS) {
      const gap = latin1(range.read(position, Math.min(limit - position, MAX_GAP_SEARCHED)));
      const at = gap.indexOf(LOCAL_MARK);
      const header = at < 0 ? undefined : readLocal(range, position + at);
      if (header === undefined || header.dataStart > limit) break;
      const length =
        header.compressed === 0 ? lengthUpToNext(range, header.dataStart, limit) : header.compressed;
      const entryEnd = Math.min(limit, header.dataStart + length);
      found.push({ header, central: undefined, end: entryEnd });
      position = Math.max(entryEnd, position + at + LOCAL_MARK.length);
    }
    if (next !== undefined)
      position = Math.max(position, next.header.dataStart + (next.central?.compressed ?? 0));
  }
  return found;
}

/** Bytes of an entry whose header leaves the length to what follows it. */
function lengthUpToNext(range: ByteRange, start: number, limit: number): number {
  const at = latin1(range.read(start, Math.min(limit - start, MAX_GAP_SEARCHED))).indexOf(LOCAL_MARK);
  return at < 0 ? limit - start : at;
}

async function inspectEntry(
  stretch: Stretch,
  hasPickle: boolean,
  part: Part,
  context: Context,
): Promise<void> {
  const { header, central } = stretch;
  const name = central?.name ?? header.name;
  if (name.endsWith('/')) return;
  const isTensor = hasPickle && /(?:^|\/)data\/\d+$/.test(name);
  const length = Math.min(
    central?.compressed ?? stretch.end - header.dataStart,
    part.range.size - header.dataStart,
  );
  const data = partOf(part.range, header.dataStart, length);
  // Whatever the two headers say: both ways of reading the data are looked at.
  const methods = new Set([central?.method ?? header.method, header.method]);
  for (const method of methods) {
    const range = rangeOfEntry(data, method, name, isTensor, part, context);
    if (range === undefined) continue;
    checkSum(range, central, name, part, context);
    const nested = { range, where: inside(part, name), name, depth: part.depth + 1 };
    await context.look(isTensor ? { ...nested, tensor: true } : nested);
  }
}

/** What an entry holds; of a compressed tensor no more than its beginning. */
function rangeOfEntry(
  data: ByteRange,
  method: number,
  name: string,
  isTensor: boolean,
  { where }: Part,
  context: Context,
): ByteRange | undefined {
  const { report } = context;
  if (method === STORED) return data;
  if (method !== DEFLATE) {
    // An entry that says nonsense may be plain all the same.
    if (beginsPickle(data, 0)) return data;
    report.find(
      'unknown',
      'limit',
      `entry "${name}" is compressed by method ${method} and was not looked at`,
      where,
    );
    return undefined;
  }
  const head = inflated(data, Math.min(HEAD_BYTES, data.size), context);
  if (head !== undefined && (isTensor || isPlainArray(rangeOfBytes(head)))) return rangeOfBytes(head);
  const bytes = inflated(data, data.size, context);
  if (bytes !== undefined) return rangeOfBytes(bytes);
  if (context.budget.inflated <= 0 || head !== undefined)
    report.find('unknown', 'limit', `entry "${name}" holds more than is decompressed`, where);
  else report.find('suspicious', 'archive', `entry "${name}" does not decompress`, where);
  return beginsPickle(data, 0) ? data : undefined;
}

/** What the first `length` bytes decompress to; undefined when they do not, or to more than is kept. */
function inflated(data: ByteRange, length: number, { budget }: Context): Uint8Array | undefined {
  const most = Math.min(MAX_INFLATED_BYTES, budget.inflated);
  if (most <= 0 || length > MAX_INFLATED_BYTES) return undefined;
  try {
    // Z_SYNC_FLUSH gives what there is when the input stops early.
    const finishFlush = constants.Z_SYNC_FLUSH;
    const bytes = inflateRawSync(data.read(0, length), { maxOutputLength: most, finishFlush });
    budget.inflated -= bytes.length;
    return bytes;
  } catch (error) {
    // The work is done before it is too much.
    if (error instanceof RangeError) budget.inflated -= most;
    return undefined;
  }
}

function checkSum(
  range: ByteRange,
  central: CentralHeader | undefined,
  name: string,
  { where }: Part,
  { report }: Context,
): void {
  // TorchScript's own writer leaves checksums at zero where it is told to be quick.
  if (
    central === undefined ||
    central.crc === 0 ||
    range.size > MAX_CHECKED_BYTES ||
    range.size !== central.size
  )
    return;
  if (crc32(range.read(0, range.size)) >>> 0 !== central.crc)
    report.find('suspicious', 'archive', `entry "${name}" has a wrong checksum`, where);
}

function archiveFormat(names: readonly string[], hasPickle: boolean): string {
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name));
  if (hasPickle) return has(/(?:^|\/)constants\.pkl$/) ? 'PyTorch (TorchScript)' : 'PyTorch (zip)';
  if (has(/^model\.weights\.h5$/)) return 'Keras (.keras)';
  return names.length > 0 && names.every((name) => name.endsWith('.npy')) ? 'NumPy (.npz)' : 'a ZIP archive';
}
