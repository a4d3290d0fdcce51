import { utf8, viewAt } from './byteRange';
import type { Context, Part } from './context';
import { parsed } from './json';
import { searchBytes } from './pickles';

/** The format's own bound on headers. */
const MAX_HEADER_BYTES = 100_000_000;

/** A safetensors file: values only. Bytes that belong to no tensor are told. */
export async function inspectSafetensors(part: Part, context: Context): Promise<string> {
  const { range, where } = part;
  const { report } = context;
  report.parts++;
  const length = Number(viewAt(range, 0, 8)?.getBigUint64(0, true) ?? -1n);
  const header = length > MAX_HEADER_BYTES || length < 0 ? undefined : parsed(utf8(range.read(8, length)));
  if (typeof header !== 'object' || header === null) {
    report.find('unknown', 'format', 'a safetensors header that is damaged', where, 0);
    return 'safetensors';
  }
  const end = 8 + length + endOfTensors(header);
  if (end < range.size) {
    report.find('suspicious', 'format', `${range.size - end} bytes follow the tensors`, where, end);
    await searchBytes(part, context, end);
  } else if (end > range.size)
    report.find('unknown', 'format', 'tensors that reach beyond the file', where, range.size);
  return 'safetensors';
}

function endOfTensors(header: object): number {
  let end = 0;
  for (const entry of Object.values(header) as unknown[]) {
    if (typeof entry !== 'object' || entry === null || !('data_offsets' in entry)) continue;
    const { data_offsets: offsets } = entry;
    const last: unknown = Array.isArray(offsets) ? offsets[1] : undefined;
    if (typeof last === 'number' && Number.isSafeInteger(last)) end = Math.max(end, last);
  }
  return end;
}
