import { looksLikeNpy } from '../formats/numpy';
import { latin1, partOf, viewAt, type ByteRange } from './byteRange';
import type { Context, Part } from './context';
import { beginsPickle, inspectWholePickle, isOldPickle } from './pickles';

/** Records of many fields need a few thousand bytes. */
const MAX_HEADER_BYTES = 1024 * 1024;

/** The header of a `.npy` (NumPy's format, versions 1 to 3) and where its values begin. */
function readHeader(range: ByteRange): { readonly text: string; readonly end: number } | undefined {
  if (!looksLikeNpy(range.read(0, 6))) return undefined;
  const isWide = (range.read(6, 1)[0] ?? 0) > 1;
  const view = viewAt(range, 8, isWide ? 4 : 2);
  if (view === undefined) return undefined;
  const length = isWide ? view.getUint32(0, true) : view.getUint16(0, true);
  const start = isWide ? 12 : 10;
  if (length > MAX_HEADER_BYTES) return undefined;
  return { text: latin1(range.read(start, length)), end: start + length };
}

/** Element types that hold objects, alone or as a field of a record: `'|O'`, `'O8'`, `'object'`. */
const OBJECTS = /['"][|<>=]?(?:O|object)\d*['"]/;
/** Spellings of the same that NumPy takes from a header made by hand: `'2O'`, `'|\x4f'`, `'|' 'O'`; also innocent names. */
const PERHAPS_OBJECTS = /\\|['"]\s*['"]|O|object/;

/** Whether a range begins an array of plain numbers: then nothing in it can be code, whatever its values. */
export function isPlainArray(range: ByteRange): boolean {
  const header = readHeader(range);
  return header !== undefined && header.text.endsWith('\n') && !PERHAPS_OBJECTS.test(header.text);
}

/** An array: of plain numbers, or of objects, which are a pickle. */
export async function inspectNpy(part: Part, context: Context): Promise<string> {
  const { range, where } = part;
  const header = readHeader(range);
  context.report.parts++;
  if (header === undefined) {
    context.report.find('unknown', 'format', 'the header of an array that is damaged', where, 0);
    return 'NumPy (.npy)';
  }
  const values = { ...part, range: partOf(range, header.end, range.size - header.end) };
  const isPickle =
    OBJECTS.test(header.text) ||
    (!isPlainArray(range) && (beginsPickle(values.range, 0) || isOldPickle(values)));
  if (!isPickle) return 'NumPy (.npy)';
  await inspectWholePickle(values, context);
  return 'NumPy (.npy), objects';
}
