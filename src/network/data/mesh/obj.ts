import { CheckpointError } from '../../../checkpoint/errors';
import type { Pauses } from '../pauses';
import { TextLines } from './textLines';
import type { Mesh } from './mesh';
import { MeshBuilder } from './meshBuilder';

/** Lines between two looks at the clock. */
const STRIDE = 512;

/**
 * Wavefront OBJ: `v` and `f`, with or without the indices of textures and normals, negative ones counted back from the
 * last vertex so far; polygons become fans. All else is passed over.
 *
 * @throws CheckpointError naming the line
 */
export async function readObj(bytes: Uint8Array, pauses: Pauses): Promise<Mesh> {
  const lines = new TextLines(bytes);
  const builder = new MeshBuilder();
  const place = (): string => `line ${lines.number}`;
  for (let line = lines.next(); line !== undefined; line = lines.next()) {
    if (lines.number % STRIDE === 0 && pauses.isDue) await pauses.pause();
    const kind = line.charCodeAt(0) | 0x20;
    const isSpaced = line[1] === ' ' || line[1] === '\t';
    if (!isSpaced || (kind !== 0x76 && kind !== 0x66)) continue;
    const words = line.slice(2).trim().split(/\s+/);
    if (kind === 0x76) readVertex(words, builder, place);
    else builder.face(cornersOf(words, builder.vertexCount, place), place);
  }
  return builder.done();
}

function readVertex(words: readonly string[], builder: MeshBuilder, place: () => string): void {
  const [x, y, z] = words;
  if (x === undefined || y === undefined || z === undefined)
    throw new CheckpointError('malformed', `${place()}: a vertex of ${words.length} numbers`);
  builder.vertex(Number(x), Number(y), Number(z), place);
}

/** Vertices of `7`, `7/1`, `7/1/2` and `7//2`, counted from 0. */
function cornersOf(words: readonly string[], vertices: number, place: () => string): number[] {
  return words.map((word) => {
    const match = /^([-+]?\d{1,10})(?:\/|$)/.exec(word);
    const index = Number(match?.[1] ?? NaN);
    if (Number.isInteger(index) && index !== 0) return index < 0 ? vertices + index : index - 1;
    throw new CheckpointError('malformed', `${place()}: "${word}" names no vertex (they count from 1)`);
  });
}
