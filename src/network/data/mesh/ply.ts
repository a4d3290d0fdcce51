import { CheckpointError, printable } from '../../../checkpoint/errors';
import type { Pauses } from '../pauses';
import type { Mesh } from './mesh';
import { MeshBuilder } from './meshBuilder';
import { type PlyElement, type PlyType, readPlyHeader } from './plyHeader';
import { TextLines } from './textLines';

/** Records between two looks at the clock. */
const STRIDE = 512;
/** Corners of a polygon. */
const MAX_CORNERS = 10_000;

export function looksLikePly(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 4)).toString('latin1').trim() === 'ply';
}

/** Numbers of a PLY's body, one after the other. */
interface Numbers {
  next(type: PlyType): number;
}

/**
 * Stanford PLY, as text or in binary of either byte order: the elements `vertex` (x, y, z) and `face` (a list
 * `vertex_indices` or `vertex_index`). All else is passed over.
 *
 * @throws CheckpointError
 */
export async function readPly(bytes: Uint8Array, pauses: Pauses): Promise<Mesh> {
  const { format, elements, bodyStart } = readPlyHeader(bytes);
  const numbers =
    format === 'ascii'
      ? new TextNumbers(bytes, bodyStart)
      : new BinaryNumbers(bytes, bodyStart, format === 'binary_little_endian');
  const builder = new MeshBuilder();
  for (const element of elements) {
    const read = recordReader(element, numbers, builder);
    for (let i = 0; i < element.count; i++) {
      if (i % STRIDE === 0 && pauses.isDue) await pauses.pause();
      read(i);
    }
  }
  return builder.done();
}

function recordReader(
  { name, properties }: PlyElement,
  numbers: Numbers,
  builder: MeshBuilder,
): (index: number) => void {
  const values: number[] = [];
  const list: number[] = [];
  const axes = ['x', 'y', 'z'].map((axis) => properties.findIndex((property) => property.name === axis));
  const [x = -1, y = -1, z = -1] = axes;
  if (name === 'vertex' && Math.min(x, y, z) < 0)
    throw new CheckpointError('malformed', 'vertices without x, y and z');
  return (index) => {
    const place = (): string => `${printable(name)} ${index}`;
    properties.forEach(({ name: property, type, countType }, i) => {
      if (countType === undefined) {
        values[i] = numbers.next(type);
        return;
      }
      const count = numbers.next(countType);
      if (!Number.isInteger(count) || count < 0 || count > MAX_CORNERS)
        throw new CheckpointError('malformed', `${place()}: a list of ${count} numbers`);
      const isFace = name === 'face' && /^vertex_ind(?:ices|ex)$/.test(property);
      list.length = 0;
      for (let at = 0; at < count; at++) list.push(numbers.next(type));
      if (isFace) builder.face(list, place);
    });
    if (name === 'vertex') builder.vertex(values[x] ?? NaN, values[y] ?? NaN, values[z] ?? NaN, place);
  };
}

class BinaryNumbers implements Numbers {
  private readonly view: DataView;

  constructor(
    bytes: Uint8Array,
    private position: number,
    private readonly isLittle: boolean,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  next(type: PlyType): number {
    const at = this.position;
    const { bytes, read } = BINARY[type];
    if (at + bytes > this.view.byteLength)
      throw new CheckpointError('malformed', 'a PLY that is cut off', { offset: at });
    this.position = at + bytes;
    return read(this.view, at, this.isLittle);
  }
}

class TextNumbers implements Numbers {
  private readonly lines: TextLines;
  private words: readonly string[] = [];
  private word = 0;

  constructor(bytes: Uint8Array, from: number) {
    this.lines = new TextLines(bytes, from);
  }

  next(): number {
    while (this.word >= this.words.length) {
      const line = this.lines.next();
      if (line === undefined) throw new CheckpointError('malformed', 'a PLY that is cut off');
      this.words = line === '' ? [] : line.split(/\s+/);
      this.word = 0;
    }
    return Number(this.words[this.word++]);
  }
}

interface BinaryType {
  readonly bytes: number;
  readonly read: (view: DataView, at: number, isLittle: boolean) => number;
}

const BINARY: Readonly<Record<PlyType, BinaryType>> = {
  int8: { bytes: 1, read: (view, at) => view.getInt8(at) },
  uint8: { bytes: 1, read: (view, at) => view.getUint8(at) },
  int16: { bytes: 2, read: (view, at, isLittle) => view.getInt16(at, isLittle) },
  uint16: { bytes: 2, read: (view, at, isLittle) => view.getUint16(at, isLittle) },
  int32: { bytes: 4, read: (view, at, isLittle) => view.getInt32(at, isLittle) },
  uint32: { bytes: 4, read: (view, at, isLittle) => view.getUint32(at, isLittle) },
  float32: { bytes: 4, read: (view, at, isLittle) => view.getFloat32(at, isLittle) },
  float64: { bytes: 8, read: (view, at, isLittle) => view.getFloat64(at, isLittle) },
};
