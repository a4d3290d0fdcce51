/** Products of dense matrices that come from memory: Gram matrices of activations, and A·B. All sums are float64. */
import type { GramRequest, ProductRequest } from '../backend';
import type { KernelInstance } from './kernels';
import { DEPTH } from './slabs';

/**
 * Accumulated rows held in the kernels' memory at once. Small enough that the pool keeps the worker warm from one batch
 * to the next, large enough that a Gram matrix of up to 1,448 inputs is one band and every input is packed once.
 */
const BAND_BYTES = 16 << 20;

/** Rows of a band are a multiple of this: the kernels' tiles. */
const TILE_ROWS = 64;

/** Side of the blocks in which a triangle is mirrored: both blocks stay in the first-level cache. */
const MIRROR_BLOCK = 32;

/** Elements a row: a multiple of 4, and not of 512, whose rows would collide in the cache. */
function leadingDimension(columns: number): number {
  const padded = padTo4(columns);
  return padded % 512 === 0 ? padded + 8 : padded;
}

function padTo4(n: number): number {
  return Math.ceil(n / 4) * 4;
}

/** Rows of a band whose rows are `length` float64 long. */
function bandRows(rows: number, length: number): number {
  const fitting = Math.floor(BAND_BYTES / (8 * Math.max(1, length)) / TILE_ROWS) * TILE_ROWS;
  return Math.min(padTo4(rows), Math.max(TILE_ROWS, fitting));
}

/** Bytes of kernel memory that `accumulateGram` needs. */
export function gramBandBytes(n: number): number {
  // One band, one packed slab, and the slab as it came.
  return 8 * bandRows(n, leadingDimension(n)) * leadingDimension(n) + 8 * padTo4(n) * DEPTH + 4 * n * DEPTH;
}

/**
 * gram + Σ x·xᵀ over the rows, in place; both triangles are written. Values that are not finite reach the diagonal.
 *
 * @returns `gram`
 */
export function accumulateGram({ gram, n, rows }: GramRequest, instance: KernelInstance): Float64Array {
  const samples = n === 0 ? 0 : rows.length / n;
  if (samples === 0) return gram;
  const padded = padTo4(n);
  const ld = leadingDimension(n);
  const height = bandRows(n, ld);
  const C = instance.allocate(height * ld * 8);
  const P = instance.allocate(padded * DEPTH * 8);
  const staging = instance.allocate(n * DEPTH * 4);
  const { kernels } = instance;
  for (let first = 0; first < n; first += height) {
    const size = Math.min(height, padded - first);
    instance.float64(C, height * ld).fill(0);
    for (let start = 0; start < samples; start += DEPTH) {
      const depth = Math.min(DEPTH, samples - start);
      instance.float32(staging, depth * n).set(rows.subarray(start * n, (start + depth) * n));
      // The rows of G up to the band's end are all that it needs.
      kernels.packColumns32(staging, n, Math.min(n, first + size), depth, P);
      const band = P + first * depth * 8;
      if (first > 0) kernels.addProduct(size, first, depth, band, P, C, ld);
      kernels.addOuterProduct(size, depth, band, band, C + first * 8, ld);
    }
    addLowerTriangle(instance.float64(C, height * ld), ld, gram, n, first, Math.min(n, first + size));
  }
  mirror(gram, n);
  return gram;
}

function addLowerTriangle(
  band: Float64Array,
  ld: number,
  gram: Float64Array,
  n: number,
  first: number,
  end: number,
): void {
  for (let i = first; i < end; i++)
    for (let j = 0, from = (i - first) * ld, to = i * n; j <= i; j++, from++, to++)
      gram[to] = (gram[to] ?? 0) + (band[from] ?? 0);
}

/** The upper triangle as the lower one is, so that the matrix is symmetric to the last bit. */
function mirror(gram: Float64Array, n: number): void {
  for (let top = 0; top < n; top += MIRROR_BLOCK)
    for (let left = 0; left <= top; left += MIRROR_BLOCK)
      for (let i = top; i < Math.min(n, top + MIRROR_BLOCK); i++)
        for (let j = left; j < Math.min(i, left + MIRROR_BLOCK); j++) gram[j * n + i] = gram[i * n + j] ?? 0;
}

/** Bytes of kernel memory that `product` needs. */
export function productBytes({ rows, inner, columns }: ProductRequest): number {
  const ld = leadingDimension(columns);
  const height = bandRows(rows, Math.max(ld, inner));
  // A band of the result, the same rows of A, both packed slabs, and a slab of B.
  return 8 * (height * ld + height * inner + (height + padTo4(columns)) * DEPTH + columns * DEPTH);
}

/**
 * A·B, rows × columns.
 *
 * @throws {RangeError} when one band of the result does not fit WebAssembly's 4 GiB.
 */
export function product(
  { A, B, rows, inner, columns }: ProductRequest,
  instance: KernelInstance,
): Float64Array<ArrayBuffer> {
  const result = new Float64Array(rows * columns);
  if (result.length === 0 || inner === 0) return result;
  const ld = leadingDimension(columns);
  const width = padTo4(columns);
  const height = bandRows(rows, Math.max(ld, inner));
  const C = instance.allocate(height * ld * 8);
  const bandOfA = instance.allocate(height * inner * 8);
  const Pa = instance.allocate(height * DEPTH * 8);
  const Pb = instance.allocate(width * DEPTH * 8);
  const slabOfB = instance.allocate(columns * DEPTH * 8);
  const { kernels } = instance;
  for (let first = 0; first < rows; first += height) {
    const here = Math.min(height, rows - first);
    instance.float64(C, height * ld).fill(0);
    instance.float64(bandOfA, here * inner).set(A.subarray(first * inner, (first + here) * inner));
    for (let start = 0; start < inner; start += DEPTH) {
      const depth = Math.min(DEPTH, inner - start);
      instance.float64(slabOfB, depth * columns).set(B.subarray(start * columns, (start + depth) * columns));
      kernels.packRows64(bandOfA + start * 8, inner, here, depth, 1, Pa);
      kernels.packColumns64(slabOfB, columns, columns, depth, 1, Pb);
      kernels.addProduct(padTo4(here), width, depth, Pa, Pb, C, ld);
    }
    const band = instance.float64(C, here * ld);
    for (let i = 0; i < here; i++) result.set(band.subarray(i * ld, i * ld + columns), (first + i) * columns);
  }
  return result;
}
