/** Which points of a grid lie inside of a mesh: parity of the crossings of rays along all three axes. */
import { CheckpointError } from '../../checkpoint/errors';
import type { Mesh } from '../../network/data/mesh/mesh';
import type { Pauses } from '../../network/data/pauses';
import { OccupancyGrid } from './occupancyGrid';

/** Longest side of a mesh in the cube [−1, 1]³. */
const EXTENT = 1.9;
/** Triangles between two looks at the clock. */
const STRIDE = 16;

export interface Voxels {
  readonly grid: OccupancyGrid;
  /** Share of the rays that meet the surface which cross it an odd number of times: 0 for closed surfaces. */
  readonly oddRays: number;
}

/** Crossings of the rays along one axis. */
interface Crossings {
  /** Points with an odd number of crossings before them. */
  readonly inside: OccupancyGrid;
  /** Crossings of each ray, by the axes across: v·resolution + u. */
  readonly counts: Uint32Array;
}

type Axis = 0 | 1 | 2;

/**
 * A ray runs along each axis through each point, and the point is inside where it was crossed an odd number of times on
 * the way; of three answers the majority holds. A ray that crosses the whole surface an odd number of times went through a
 * hole: where two of a point's rays did, the third alone decides. Triangles are drawn onto the rays as a raster is filled,
 * so that the time goes with the crossings; an edge gives both its triangles the very same numbers, so that no ray slips
 * between them.
 *
 * @throws CheckpointError for meshes without extent, and those without a point of the grid inside
 * @throws the signal's reason
 */
export async function voxelize(mesh: Mesh, resolution: number, pauses: Pauses): Promise<Voxels> {
  const positions = fitToGrid(mesh, resolution);
  const along: Crossings[] = [];
  for (const axis of [0, 1, 2] as const)
    along.push(await crossingsAlong(axis, positions, mesh.triangles, resolution, pauses));
  const [x, y, z] = along;
  if (x === undefined || y === undefined || z === undefined) throw new Error('three axes');
  const grid = await majority(x, y, z, pauses);
  return { grid, oddRays: oddShare(along) };
}

/**
 * Vertices in the grid's own units: a point of index i lies at i. The box of the vertices that faces use is centred.
 */
function fitToGrid({ positions, triangles }: Mesh, resolution: number): Float64Array {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (const vertex of triangles) {
    for (let axis = 0; axis < 3; axis++) {
      const value = positions[3 * vertex + axis] ?? 0;
      low[axis] = Math.min(low[axis] ?? 0, value);
      high[axis] = Math.max(high[axis] ?? 0, value);
    }
  }
  const longest = Math.max(...high.map((value, axis) => value - (low[axis] ?? 0)));
  if (!(longest > 0 && Number.isFinite(longest)))
    throw new CheckpointError('malformed', `a mesh whose longest side is ${longest}`);
  const scale = EXTENT / longest;
  const middle = high.map((value, axis) => (value + (low[axis] ?? 0)) / 2);
  return positions.map((value, i) => {
    const inCube = (value - (middle[i % 3] ?? 0)) * scale;
    return ((inCube + 1) * resolution - 1) / 2;
  });
}

async function crossingsAlong(
  axis: Axis,
  positions: Float64Array,
  triangles: Uint32Array,
  resolution: number,
  pauses: Pauses,
): Promise<Crossings> {
  const inside = new OccupancyGrid(resolution);
  const counts = new Uint32Array(resolution * resolution);
  const raster = new Raster(axis, resolution, (u, v, depth) => {
    const ray = v * resolution + u;
    counts[ray] = (counts[ray] ?? 0) + 1;
    const first = Math.max(0, Math.ceil(depth));
    if (first >= resolution) return;
    if (axis === 0) inside.flip(first, ray);
    else if (axis === 1) inside.flip(u, v * resolution + first);
    else inside.flip(u, first * resolution + v);
  });
  for (let at = 0; at < triangles.length; at += 3) {
    if (at % (3 * STRIDE) === 0 && pauses.isDue) await pauses.pause();
    raster.triangle(positions, triangles[at] ?? 0, triangles[at + 1] ?? 0, triangles[at + 2] ?? 0);
  }
  accumulate(inside, axis);
  return { inside, counts };
}

/** A point of an edge on a line of the raster. */
interface EdgePoint {
  u: number;
  depth: number;
}

/** Finds the rays along an axis that go through triangles. */
class Raster {
  private readonly u: Axis;
  private readonly v: Axis;
  private readonly from: EdgePoint = { u: 0, depth: 0 };
  private readonly to: EdgePoint = { u: 0, depth: 0 };

  /** @param onCrossing depth: where on the ray, in units of the grid */
  constructor(
    private readonly axis: Axis,
    private readonly resolution: number,
    private readonly onCrossing: (u: number, v: number, depth: number) => void,
  ) {
    this.u = axis === 0 ? 1 : 0;
    this.v = axis === 2 ? 1 : 2;
  }

  triangle(positions: Float64Array, a: number, b: number, c: number): void {
    const { v } = this;
    const [va, vb, vc] = [positions[3 * a + v] ?? 0, positions[3 * b + v] ?? 0, positions[3 * c + v] ?? 0];
    const first = Math.max(0, Math.ceil(Math.min(va, vb, vc)));
    const last = Math.min(this.resolution, Math.ceil(Math.max(va, vb, vc)));
    for (let line = first; line < last; line++) {
      // Of three corners on two sides of a line, one is alone: the line crosses the two edges that meet there.
      const [isA, isB, isC] = [va <= line, vb <= line, vc <= line];
      const [alone, second, third] = isA === isB ? [c, a, b] : isA === isC ? [b, a, c] : [a, b, c];
      this.crossEdge(positions, alone, second, line, this.from);
      this.crossEdge(positions, alone, third, line, this.to);
      this.span(line);
    }
  }

  /** Where a line crosses an edge; the same to the last bit whichever triangle asks, from whichever end. */
  private crossEdge(positions: Float64Array, p: number, q: number, line: number, target: EdgePoint): void {
    const { u, v, axis } = this;
    const isUpward = (positions[3 * p + v] ?? 0) <= line;
    const [below, above] = isUpward ? [3 * p, 3 * q] : [3 * q, 3 * p];
    const start = positions[below + v] ?? 0;
    const share = (line - start) / ((positions[above + v] ?? 0) - start);
    target.u = mix(positions[below + u] ?? 0, positions[above + u] ?? 0, share);
    target.depth = mix(positions[below + axis] ?? 0, positions[above + axis] ?? 0, share);
  }

  private span(line: number): void {
    const { from, to } = this;
    const [left, right] = from.u < to.u ? [from, to] : [to, from];
    const first = Math.max(0, Math.ceil(left.u));
    const last = Math.min(this.resolution, Math.ceil(right.u));
    for (let u = first; u < last; u++) {
      const share = (u - left.u) / (right.u - left.u);
      this.onCrossing(u, line, mix(left.depth, right.depth, share));
    }
  }
}

function mix(a: number, b: number, share: number): number {
  return a + (b - a) * share;
}

/** Parities of the single crossings into those of all before a point, along an axis. */
function accumulate({ words, rowWords, resolution }: OccupancyGrid, axis: Axis): void {
  if (axis === 0) {
    for (let row = 0; row < resolution ** 2; row++)
      accumulateRow(words, row * rowWords, rowWords, resolution);
    return;
  }
  const stride = axis === 1 ? rowWords : rowWords * resolution;
  for (let at = 0; at < words.length; at++) {
    const place = Math.floor(at / stride) % resolution;
    if (place > 0) words[at] = (words[at] ?? 0) ^ (words[at - stride] ?? 0);
  }
}

function accumulateRow(words: Uint32Array, start: number, count: number, resolution: number): void {
  let carry = 0;
  for (let at = start; at < start + count; at++) {
    let word = words[at] ?? 0;
    for (let shift = 1; shift < 32; shift *= 2) word ^= word << shift;
    if (carry === 1) word = ~word;
    carry = word >>> 31;
    words[at] = word;
  }
  const spare = 32 * count - resolution;
  const last = start + count - 1;
  if (spare > 0) words[last] = (words[last] ?? 0) & (2 ** (32 - spare) - 1);
}

async function majority(x: Crossings, y: Crossings, z: Crossings, pauses: Pauses): Promise<OccupancyGrid> {
  const { resolution, rowWords } = x.inside;
  const grid = new OccupancyGrid(resolution);
  const oddY = oddBits(y.counts, resolution, rowWords);
  const oddZ = oddBits(z.counts, resolution, rowWords);
  for (let row = 0; row < resolution ** 2; row++) {
    if (pauses.isDue) await pauses.pause();
    const isOddX = ((x.counts[row] ?? 0) & 1) === 1 ? -1 : 0;
    const rowOfY = Math.floor(row / resolution) * rowWords;
    const rowOfZ = (row % resolution) * rowWords;
    for (let word = 0; word < rowWords; word++) {
      const at = row * rowWords + word;
      const [a, b, c] = [x.inside.words[at] ?? 0, y.inside.words[at] ?? 0, z.inside.words[at] ?? 0];
      const [ea, eb, ec] = [~isOddX, ~(oddY[rowOfY + word] ?? 0), ~(oddZ[rowOfZ + word] ?? 0)];
      const twoAgree = (a & b) | (a & c) | (b & c);
      const isOneEven = (ea & ~eb & ~ec) | (~ea & eb & ~ec) | (~ea & ~eb & ec);
      grid.words[at] = (twoAgree & ~isOneEven) | (isOneEven & ((ea & a) | (eb & b) | (ec & c)));
    }
  }
  return grid;
}

/** Rays with an odd number of crossings as bits, rows of u by v. */
function oddBits(counts: Uint32Array, resolution: number, rowWords: number): Uint32Array {
  const bits = new Uint32Array(rowWords * resolution);
  counts.forEach((count, ray) => {
    const u = ray % resolution;
    const at = Math.floor(ray / resolution) * rowWords + (u >>> 5);
    bits[at] = (bits[at] ?? 0) | ((count & 1) << (u & 31));
  });
  return bits;
}

function oddShare(all: readonly Crossings[]): number {
  let [met, odd] = [0, 0];
  for (const { counts } of all) {
    for (const count of counts) {
      if (count > 0) met++;
      odd += count & 1;
    }
  }
  return met === 0 ? 0 : odd / met;
}
