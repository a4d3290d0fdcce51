import { CheckpointError } from '../errors';
import { Cursor } from './cursor';

/** The most a stream can grow, since a copy of 64 bytes takes three: what claims more is refused before it is allocated. */
const MAX_RATIO = 22;
/** The preamble holds a length of 32 bits. */
const MAX_LENGTH = 2 ** 32 - 1;

/**
 * Decompresses a snappy block (google/snappy, format_description.txt; not its framing format).
 *
 * @param most bytes that the result may have
 * @throws CheckpointError `malformed` for what is no such block, or claims another length than it has
 */
export function unsnappy(compressed: Uint8Array, most: number): Uint8Array {
  const input = new Cursor(compressed, 'snappy data');
  const length = input.varint();
  if (length > Math.min(most, MAX_LENGTH, compressed.length * MAX_RATIO)) {
    throw new CheckpointError(
      'malformed',
      `${compressed.length} bytes of snappy data that claim to hold ${length}`,
    );
  }
  const output = new Uint8Array(length);
  let filled = 0;
  while (input.left > 0) {
    const tag = input.byte();
    const isLiteral = (tag & 3) === 0;
    const count = isLiteral ? literalLength(input, tag) : copyLength(tag);
    if (count > length - filled) throw input.error(`holds more than the ${length} bytes it claims`);
    if (isLiteral) output.set(input.take(count), filled);
    else copyWithin(output, filled, copyDistance(input, tag), count, input);
    filled += count;
  }
  if (filled !== length) throw input.error(`holds ${filled} of the ${length} bytes it claims`);
  return output;
}

/** Up to 60 in the tag, else in the one to four bytes after it; always one more than is written. */
function literalLength(input: Cursor, tag: number): number {
  const written = tag >>> 2;
  return (written < 60 ? written : little(input, written - 59)) + 1;
}

function copyLength(tag: number): number {
  return (tag & 3) === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
}

function copyDistance(input: Cursor, tag: number): number {
  switch (tag & 3) {
    case 1:
      return (tag >>> 5) * 256 + input.byte();
    case 2:
      return little(input, 2);
    default:
      return little(input, 4);
  }
}

/** Byte by byte, because a copy may reach into what it writes: a run. */
function copyWithin(output: Uint8Array, at: number, distance: number, count: number, input: Cursor): void {
  if (distance === 0 || distance > at) throw input.error('copies from before its beginning');
  for (let i = at; i < at + count; i++) output[i] = output[i - distance] ?? 0;
}

function little(input: Cursor, bytes: number): number {
  return input.take(bytes).reduce((value, byte, i) => value + byte * 256 ** i, 0);
}
