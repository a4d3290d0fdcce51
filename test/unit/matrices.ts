/** Matrices whose singular values are known by construction, and tensors in files that hold given matrices. */
import { writeFileSync } from 'node:fs';
import type { Tensor } from '../../src/checkpoint/checkpoint';
import type { DType } from '../../src/checkpoint/dtype';
import type { MatrixView } from '../../src/checkpoint/matrixView';

/** Numerical Recipes' 32-bit linear congruential generator, as numbers in [−1, 1). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** A ← (I − 2vvᵀ/vᵀv)·A for a random v: orthogonal, so that singular values stay what they are. */
function reflectRows(A: Float64Array, rows: number, columns: number, random: () => number): void {
  const v = Float64Array.from({ length: rows }, random);
  const scale = 2 / v.reduce((sum, x) => sum + x * x, 0);
  for (let j = 0; j < columns; j++) {
    let dot = 0;
    for (let i = 0; i < rows; i++) dot += (v[i] ?? 0) * (A[i * columns + j] ?? 0);
    for (let i = 0; i < rows; i++) A[i * columns + j] = (A[i * columns + j] ?? 0) - scale * dot * (v[i] ?? 0);
  }
}

function transpose(A: Float64Array, rows: number, columns: number): Float64Array<ArrayBuffer> {
  return Float64Array.from(
    { length: rows * columns },
    (_, k) => A[(k % rows) * columns + Math.floor(k / rows)] ?? 0,
  );
}

/** rows × columns float64, row-major, with the given singular values (descending; missing ones are 0). */
export function withSingularValues(
  rows: number,
  columns: number,
  sigma: readonly number[],
  seed = 1,
): Float64Array {
  const random = uniform(seed);
  let A = new Float64Array(rows * columns);
  sigma.forEach((value, i) => {
    A[i * columns + i] = value;
  });
  for (let k = 0; k < 3; k++) reflectRows(A, rows, columns, random);
  A = transpose(A, rows, columns);
  for (let k = 0; k < 3; k++) reflectRows(A, columns, rows, random);
  return transpose(A, columns, rows);
}

/** A file that holds the bytes of one tensor after `skip` bytes of something else. */
export function tensorFile(
  file: string,
  values: Float64Array | Float32Array | Uint16Array | Uint8Array,
  dtype: DType,
  shape: readonly number[],
  skip = 24,
): Tensor {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  writeFileSync(file, Buffer.concat([Buffer.alloc(skip, 0xff), bytes]));
  return {
    name: 'layer.weight',
    shape,
    dtype,
    storage: { encoding: 'raw', path: file, offset: skip, byteLength: bytes.length },
    role: 'model',
  };
}

/** The view that is the whole of a two-dimensional tensor. */
export function whole([rows = 0, columns = 0]: readonly number[]): MatrixView {
  return { offset: 0, rows, columns, rowStride: columns };
}
