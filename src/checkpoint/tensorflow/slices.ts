/** Variables kept in parts (TF 1's partitioners): each part has a key of its own, made of name and place. */
import type { Tensor } from '../checkpoint';
import { CheckpointError } from '../errors';
import type { SliceExtent } from './bundle';

/**
 * The key of one part: an ordered code (TensorFlow's core/lib/strings/ordered_code.cc) of 0, the name, the number of
 * axes, and start and length along each, -1 for a whole axis (core/util/saved_tensor_slice_util.cc).
 */
export function sliceKey(name: Buffer, extents: readonly SliceExtent[]): Buffer {
  const numbers = extents.flatMap(({ start, length }) => [
    signedCode(length === undefined ? 0 : start),
    signedCode(length ?? -1),
  ]);
  return Buffer.concat([unsignedCode(0), textCode(name), unsignedCode(extents.length), ...numbers]);
}

/** Whether a key is a part's: no variable's name begins with what the code of 0 is. */
export function isSliceKey(key: Buffer): boolean {
  return key[0] === 0;
}

/** The variable's name in a part's key, for people: without its marks. */
export function sliceOwner(key: Buffer): string {
  const end = key.indexOf('\0\x01', 1, 'latin1');
  return key.subarray(1, end < 0 ? undefined : end).toString('utf8');
}

/** The bytes with 0 and 255 marked, and an end that sorts before all else. */
function textCode(text: Buffer): Buffer {
  const bytes: number[] = [];
  for (const byte of text) {
    bytes.push(byte);
    if (byte === 0) bytes.push(0xff);
    else if (byte === 0xff) bytes.push(0);
  }
  return Buffer.from([...bytes, 0, 1]);
}

/** The number of bytes, then as many, most significant first. */
function unsignedCode(value: number): Buffer {
  const bytes = value === 0 ? '' : value.toString(16);
  const digits = Buffer.from(bytes.length % 2 === 0 ? bytes : `0${bytes}`, 'hex');
  return Buffer.concat([Buffer.from([digits.length]), digits]);
}

/** Most significant byte first, as many leading ones as there are bytes; negative numbers inverted. Seven bits a byte. */
function signedCode(value: number): Buffer {
  const wide = BigInt(value);
  const magnitude = wide < 0n ? ~wide : wide;
  let length = 1;
  while (magnitude >= 1n << BigInt(7 * length - 1)) length++;
  const marks = ((1n << BigInt(length)) - 1n) << BigInt(7 * length);
  // All of the code's bits are those of the number, the leading ones of its length turned over.
  const code = BigInt.asUintN(8 * length, wide) ^ marks;
  return Buffer.from(code.toString(16).padStart(2 * length, '0'), 'hex');
}

/** A part of a variable, found. */
export interface FoundSlice {
  readonly extents: readonly SliceExtent[];
  readonly tensor: Tensor;
}

/** Where a part begins and how long it is along each axis. @throws CheckpointError `malformed` when it is not inside */
function requireSlice(
  shape: readonly number[],
  extents: readonly SliceExtent[],
): [start: number, length: number][] {
  if (extents.length !== shape.length)
    throw new CheckpointError(
      'malformed',
      `a slice of ${extents.length} axes of a variable of ${shape.length}`,
    );
  return shape.map((size, axis) => {
    const { start = 0, length = size } = extents[axis] ?? {};
    if (!(start >= 0 && length >= 0 && start + length <= size))
      throw new CheckpointError('malformed', `a slice from ${start}, ${length} long, of an axis of ${size}`);
    return [start, length];
  });
}

/**
 * The parts in the order in which their values follow one another in the whole, when they do: cut along the first axis
 * that is longer than 1. Undefined when they are cut in another way.
 *
 * @throws CheckpointError `malformed` when they leave gaps or overlap
 */
export function joinedSlices(shape: readonly number[], slices: readonly FoundSlice[]): Tensor[] | undefined {
  const axis = Math.max(
    0,
    shape.findIndex((size) => size > 1),
  );
  const placed = slices.map(({ extents, tensor }) => {
    const places = requireSlice(shape, extents);
    if (places.some(([, length], i) => length !== tensor.shape[i]))
      throw new CheckpointError(
        'malformed',
        `a slice of shape [${tensor.shape.join(', ')}] in a place of another one`,
      );
    return { places, tensor };
  });
  const isCutElsewhere = placed.some(({ places }) =>
    places.some(([, length], other) => other !== axis && length !== shape[other]),
  );
  if (isCutElsewhere) return undefined;
  const inOrder = placed
    .map(({ places, tensor }) => ({ tensor, start: places[axis]?.[0] ?? 0, length: places[axis]?.[1] ?? 1 }))
    .sort((a, b) => a.start - b.start);
  let covered = 0;
  for (const { start, length } of inOrder) {
    if (start !== covered) throw new CheckpointError('malformed', 'its slices leave gaps or overlap');
    covered += length;
  }
  if (covered !== (shape[axis] ?? 1)) throw new CheckpointError('malformed', 'its slices are not all of it');
  return inOrder.map(({ tensor }) => tensor);
}
