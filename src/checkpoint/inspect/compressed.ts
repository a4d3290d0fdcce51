import { constants, gunzipSync, inflateSync } from 'node:zlib';
import { rangeOfBytes } from './byteRange';
import { MAX_INFLATED_BYTES, inside, type Context, type Part } from './context';

const UNPACKERS = { gzip: gunzipSync, zlib: inflateSync } as const;

/** A compressed stream: what is in it, up to a bound. */
export async function inspectCompressed(
  part: Part,
  how: keyof typeof UNPACKERS,
  context: Context,
): Promise<string> {
  const { range, where, name } = part;
  const { report, budget } = context;
  report.parts++;
  const format = `${how}-compressed`;
  const most = Math.min(MAX_INFLATED_BYTES, budget.inflated);
  if (most <= 0 || range.size > MAX_INFLATED_BYTES) {
    report.find('unknown', 'limit', `${format} data of more bytes than is decompressed`, where);
    return format;
  }
  try {
    const finishFlush = constants.Z_SYNC_FLUSH;
    const bytes = UNPACKERS[how](range.read(0, range.size), { maxOutputLength: most, finishFlush });
    budget.inflated -= bytes.length;
    const stem = name.replace(/\.(?:gz|z|zlib)$/i, '');
    await context.look({
      range: rangeOfBytes(bytes),
      where: inside(part, stem),
      name: stem,
      depth: part.depth + 1,
    });
  } catch (error) {
    if (error instanceof RangeError) {
      budget.inflated -= most;
      report.find('unknown', 'limit', `${format} data that holds more than is decompressed`, where);
    } else if (isZlibError(error))
      report.find('suspicious', 'archive', `${format} data that does not decompress`, where);
    else throw error;
  }
  return format;
}

function isZlibError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
}
