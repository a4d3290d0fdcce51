import { looksLikeTar } from '../tar';
import { latin1, partOf, viewAt, type ByteRange } from './byteRange';
import { MAX_PARTS, inside, type Context, type Part } from './context';
import { beginsPickle, inspectPickles } from './pickles';
import { PickleScan } from './pickleScan';
import { reportPath } from './zipTricks';

const BLOCK_BYTES = 512;

/** A tar archive: its members, whatever they are called. */
export async function inspectTar(part: Part, context: Context): Promise<string> {
  const { range, where } = part;
  const { report } = context;
  report.parts++;
  const names = new Set<string>();
  let offset = 0;
  for (let count = 0; offset + BLOCK_BYTES <= range.size; count++) {
    const header = range.read(offset, BLOCK_BYTES);
    if (header.every((byte) => byte === 0)) break;
    const size = sizeOf(header);
    if (!looksLikeTar(header) || size === undefined || count >= MAX_PARTS) {
      report.find(
        'suspicious',
        'archive',
        'a damaged header in a tar archive: the rest was not looked at',
        where,
        offset,
      );
      break;
    }
    const name = nameOf(header);
    reportMember(name, header, names, where, context);
    const data = partOf(range, offset + BLOCK_BYTES, size);
    const member = { range: data, where: inside(part, name), name, depth: part.depth + 1 };
    if (/^(?:\.\/)?storages$/.test(name) && beginsPickle(data, 0)) await inspectStorages(member, context);
    else if (size > 0) await context.look(member);
    offset += BLOCK_BYTES + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return names.has('pickle') && names.has('storages') ? 'PyTorch (tar)' : 'a tar archive';
}

function reportMember(
  name: string,
  header: Uint8Array,
  names: Set<string>,
  where: string,
  { report }: Context,
): void {
  const type = String.fromCharCode(header[156] ?? 0);
  const link = text(header.subarray(157, 257));
  reportPath(name, name, where, report);
  if (type === '1' || type === '2')
    report.find('suspicious', 'path', `member "${name}" is a link to "${link}"`, where);
  else if (!/[\0\u0030gxLK]/.test(type))
    report.find('unknown', 'archive', `member "${name}" is no plain file`, where);
  if (names.has(name) && !/[gxLK]/.test(type))
    report.find('suspicious', 'archive', `two members are called "${name}"`, where);
  names.add(name.replace(/^\.\//, ''));
}

function nameOf(header: Uint8Array): string {
  const prefix = latin1(header.subarray(257, 262)) === 'ustar' ? text(header.subarray(345, 500)) : '';
  const name = text(header.subarray(0, 100));
  return prefix === '' ? name : `${prefix}/${name}`;
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8');
}

/** Octal digits, or a number of eight bytes where the first bit says so. */
function sizeOf(header: Uint8Array): number | undefined {
  const field = header.subarray(124, 136);
  if (((field[0] ?? 0) & 0x80) !== 0)
    return [...field.subarray(4)].reduce((sum, byte) => sum * 256 + byte, 0);
  const digits = text(field).trim();
  return /^[0-7]{1,12}$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

/** Bytes of an element, by storage class. */
const ELEMENT_BYTES: ReadonlyMap<string, number> = new Map(
  Object.entries({
    ...{
      DoubleStorage: 8,
      FloatStorage: 4,
      HalfStorage: 2,
      BFloat16Storage: 2,
      LongStorage: 8,
      IntStorage: 4,
    },
    ...{ ShortStorage: 2, CharStorage: 1, ByteStorage: 1, BoolStorage: 1 },
  }),
);

/** The oldest torch.save: the number of storages, then for each one a pickle, its number of elements and its bytes. */
async function inspectStorages(part: Part, context: Context): Promise<void> {
  const { range, where } = part;
  let { end } = await inspectPickles({ ...part, range: upToStop(range, 0) }, context);
  for (let count = 0; end < range.size && count < MAX_PARTS; count++) {
    const start = end;
    if (!beginsPickle(range, start)) {
      context.report.find('suspicious', 'archive', 'storages that do not follow one another', where, start);
      return;
    }
    const scan = new PickleScan(range, start);
    scan.step(1000);
    const stop = scan.end?.position ?? start;
    await inspectPickles({ ...part, range: partOf(range, 0, stop) }, context, start);
    const elements = viewAt(range, stop, 8)?.getBigInt64(0, true) ?? 0n;
    const type = [...scan.globals.values()].find(({ name }) => ELEMENT_BYTES.has(name))?.name ?? '';
    const bytes = Number(elements) * (ELEMENT_BYTES.get(type) ?? 1);
    if (scan.end?.kind !== 'stop' || bytes < 0) return;
    end = stop + 8 + bytes;
  }
}

function upToStop(range: ByteRange, start: number): ByteRange {
  const scan = new PickleScan(range, start);
  scan.step(1000);
  return partOf(range, 0, scan.end?.position ?? range.size);
}
