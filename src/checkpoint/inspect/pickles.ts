import { claimsPickle } from '../recognise';
import { countOf } from '../wording';
import { latin1, partOf, rangeOfBytes, utf8, type ByteRange } from './byteRange';
import { MAX_DEPTH, MAX_INFLATED_BYTES, inside, pause, type Context, type Part } from './context';
import { judgeGlobal } from './judge';
import { PickleScan, type NestedLoad } from './pickleScan';
import { textOfString, textOfUnicode } from './pickleText';

/** Opcodes done between two looks at the cancellation: some milliseconds. */
const STRETCH = 200_000;
/** Opcodes of one file, some ten seconds' work: the largest pickles of models have a few million. */
const MAX_OPERATIONS = 100_000_000;
/** Opcodes tried where a pickle may or may not begin. */
const TRIED_OPERATIONS = 20_000;
/** Pickles one after another in one file. */
const MAX_PICKLES = 10_000;
/** Bytes after a pickle's end, or before its beginning, that are searched for another one. */
const SEARCHED_BYTES = 4 * 1024 * 1024;
/** Places tried in them: two bytes begin one by chance in ten thousand. */
const MAX_TRIED_PLACES = 500;

/** torch.save before PyTorch 1.6: this number as a first pickle, then four pickles, then the storages. */
const LEGACY_MAGIC = '\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.';
const LEGACY_PICKLES = 5;

const MAX_PROTOCOL = 5;

/** Whether a pickle of protocol 2 or later begins here. */
export function beginsPickle(range: ByteRange, offset: number): boolean {
  const [proto, version] = range.read(offset, 2);
  return proto === 0x80 && version !== undefined && version <= MAX_PROTOCOL;
}

/** Where the pickles of a part ended, for what may follow them. */
export interface PicklesRead {
  readonly count: number;
  readonly end: number;
  readonly isLegacyTorch: boolean;
}

/** All pickles of a part, one after another from `start` on, and what is left after them. */
export async function inspectPickles(part: Part, context: Context, start = 0): Promise<PicklesRead> {
  const { range, where } = part;
  const isLegacyTorch = latin1(range.read(start, LEGACY_MAGIC.length)) === LEGACY_MAGIC;
  let position = start;
  let count = 0;
  let operations = 0;
  for (;;) {
    const scan = await scanned(range, position, context, MAX_OPERATIONS - operations);
    operations += scan.operations;
    count++;
    context.report.parts++;
    reportScan(scan, part, context);
    await loadNested(scan, part, context);
    if (scan.end?.kind !== 'stop') {
      await searchBytes(part, context, scan.end?.position ?? position);
      break;
    }
    position = scan.end.position;
    const isDone = isLegacyTorch && count >= LEGACY_PICKLES;
    if (isDone || position >= range.size || count >= MAX_PICKLES) break;
    // A PyTorch file's first five are loaded whatever they look like.
    if (isLegacyTorch || beginsPickle(range, position)) continue;
    if (!isLikelyPickle(tried(range, position), false)) break;
  }
  if (count > 1 && !isLegacyTorch)
    context.report.note(`${label(where)}${countOf(count, 'pickle')} one after another`);
  if (count >= MAX_PICKLES)
    context.report.find(
      'unknown',
      'limit',
      `more than ${MAX_PICKLES} pickles, the rest not looked at`,
      where,
      position,
    );
  return { count, end: position, isLegacyTorch };
}

/** Like `inspectPickles`; bytes after the last pickle, which a loader would never see, are told and searched. */
export async function inspectWholePickle(part: Part, context: Context): Promise<void> {
  const { range, where } = part;
  const { end, isLegacyTorch } = await inspectPickles(part, context);
  const rest = range.size - end;
  if (rest === 0 || end === 0 || isLegacyTorch) return;
  context.report.find(
    'suspicious',
    'pickle',
    `${countOf(rest, 'byte follows', 'bytes follow')} the pickle`,
    where,
    end,
  );
  await searchBytes(part, context, end);
}

/** Whether a part without a signature is a pickle of the oldest protocols, which have none. */
export function isOldPickle({ range, name }: Part): boolean {
  return isLikelyPickle(tried(range, 0), claimsPickle(name) || /\.(?:bin|dat|model|joblib)$/i.test(name));
}

/**
 * Searches bytes that no loader should look at for pickles. Only what names something, or is whole, counts: by chance
 * bytes look like the beginning of one.
 */
export async function searchBytes(part: Part, context: Context, from: number): Promise<void> {
  const { range, where } = part;
  const bytes = range.read(from, SEARCHED_BYTES);
  let end = 0;
  let places = 0;
  for (
    let at = bytes.indexOf(0x80);
    at >= 0 && places < MAX_TRIED_PLACES;
    at = bytes.indexOf(0x80, Math.max(at + 1, end))
  ) {
    const protocol = bytes[at + 1] ?? 0xff;
    if (at === 0 || protocol < 2 || protocol > MAX_PROTOCOL) continue;
    places++;
    const scan = tried(range, from + at);
    if (!isLikelyPickle(scan, false)) continue;
    context.report.find('suspicious', 'pickle', 'a pickle where nothing should be', where, from + at);
    reportScan(scan, part, context);
    end = (scan.end?.position ?? from) - from;
  }
  reportOldGlobals(bytes, from, where, context);
  await pause(context.signal);
}

/** GLOBAL opcodes of the oldest protocols are text: those that do harm are told wherever they stand. */
function reportOldGlobals(bytes: Uint8Array, from: number, where: string, { report }: Context): void {
  for (const match of latin1(bytes).matchAll(/[ci]([A-Za-z_][\w.]{0,60})\r?\n([A-Za-z_][\w.]{0,60})\r?\n/g)) {
    const [, module = '', name = ''] = match;
    if (judgeGlobal(module, name).level !== 'dangerous') continue;
    report.find(
      'suspicious',
      'pickle',
      'what looks like a pickle where nothing should be',
      where,
      from + match.index,
    );
    report.name(module, name, { called: false, count: 1 }, where, from + match.index);
  }
}

function tried(range: ByteRange, start: number): PickleScan {
  const scan = new PickleScan(range, start);
  scan.step(TRIED_OPERATIONS);
  return scan;
}

const PLAUSIBLE_NAME = /^[A-Za-z_][\w.]*$/;

/** @param claims the file says by its name that it is one. */
function isLikelyPickle(scan: PickleScan, claims: boolean): boolean {
  const globals = [...scan.globals.values()];
  const plausible = globals.filter(
    ({ module, name }) => PLAUSIBLE_NAME.test(module) && PLAUSIBLE_NAME.test(name),
  );
  if (plausible.some(({ module, name }) => judgeGlobal(module, name).level === 'dangerous')) return true;
  // The oldest protocols write letters, as prose does.
  const isWhole = scan.end?.kind === 'stop' && scan.underflow === undefined && scan.operations > 1;
  if (claims) return isWhole || plausible.length > 0;
  return isWhole && scan.operations > 3 && plausible.length === globals.length;
}

async function scanned(
  range: ByteRange,
  start: number,
  context: Context,
  operations: number,
): Promise<PickleScan> {
  const scan = new PickleScan(range, start);
  for (let left = operations; !scan.step(Math.min(left, STRETCH));) {
    left -= STRETCH;
    if (left <= 0) {
      scan.end = {
        kind: 'limit',
        position: scan.cursor.position,
        reason: `more than ${MAX_OPERATIONS} opcodes`,
      };
      break;
    }
    await pause(context.signal);
  }
  return scan;
}

function reportScan(scan: PickleScan, { where }: Part, { report }: Context): void {
  for (const { module, name, called, count, offset } of scan.globals.values())
    report.name(module, name, { called, count }, where, offset);
  for (const { name, offset } of scan.changed)
    report.find('suspicious', 'pickle', `changes ${name} itself, not an object made of it`, where, offset);
  if (scan.unresolved !== undefined) {
    const [level, why] = scan.lostTexts
      ? (['unknown', 'among more texts than are kept'] as const)
      : (['suspicious', 'that is put together while it is read'] as const);
    report.find(level, 'pickle', `names a global ${why}: nobody can tell which`, where, scan.unresolved);
  }
  if (scan.memo.isLost)
    report.find('unknown', 'limit', 'remembers more values than can be followed', where, scan.start);
  reportEnd(scan, where, report);
}

function reportEnd(
  { end, underflow, start, globals }: PickleScan,
  where: string,
  report: Context['report'],
): void {
  const before = globals.size > 0 ? ': what comes before is done all the same' : '';
  if (end?.kind === 'limit')
    report.find('unknown', 'limit', `${end.reason}: the rest was not looked at`, where, end.position);
  else if (end?.kind === 'opcode')
    report.find('suspicious', 'pickle', `a broken pickle, ${end.reason}${before}`, where, end.position);
  else if (end?.kind === 'cut')
    report.find('suspicious', 'pickle', `a pickle that does not end${before}`, where, end.position);
  else if (underflow !== undefined)
    report.find(
      'suspicious',
      'pickle',
      `a broken pickle, it takes values that are not there${before}`,
      where,
      underflow,
    );
  else if (end === undefined)
    report.find('unknown', 'limit', 'a pickle that was not looked at', where, start);
}

/** Bytes that a pickle hands to another unpickler. */
async function loadNested(scan: PickleScan, part: Part, context: Context): Promise<void> {
  for (const load of scan.nested) {
    const range = rangeOfNested(load, part.range);
    if (range === undefined) {
      const message = `hands bytes to ${load.by} that are put together while it is read: nobody can tell which`;
      context.report.find('suspicious', 'pickle', message, part.where, load.offset);
    } else if (part.depth >= MAX_DEPTH)
      context.report.find(
        'suspicious',
        'pickle',
        'pickles within pickles, not followed further',
        part.where,
        load.offset,
      );
    else
      await context.look({
        range,
        where: inside(part, `bytes at ${load.offset}`),
        name: 'nested.pkl',
        depth: part.depth + 1,
      });
  }
}

/** How a text that stands for bytes, one character each, is written. */
const TEXTS = {
  utf8,
  unicode: (bytes: Uint8Array) => textOfUnicode(latin1(bytes)),
  string: (bytes: Uint8Array) => textOfString(latin1(bytes)),
} as const;

function rangeOfNested({ bytes }: NestedLoad, range: ByteRange): ByteRange | undefined {
  if (bytes === undefined) return undefined;
  const found = partOf(range, bytes.start, bytes.length);
  if (bytes.encoding === 'raw') return found;
  if (bytes.length > MAX_INFLATED_BYTES) return undefined;
  const written = found.read(0, found.size);
  const text = TEXTS[bytes.encoding](written);
  return rangeOfBytes(Buffer.from(text, 'latin1'));
}

function label(where: string): string {
  return where === '' ? '' : `${where}: `;
}
