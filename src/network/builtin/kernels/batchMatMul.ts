/**
 * Products of matrices on the WebAssembly backend. Its own kernel is fast for one plain product and 12 times slower as
 * soon as a factor is transposed or there are several, which every gradient and every attention needs: so factors are
 * transposed first, and batches go through the fast one, one after the other.
 */
import type { Tf } from '../architecture';
import {
  allocate,
  floatInput,
  floatsOf,
  numberOf,
  placeOf,
  release,
  sizeOf,
  transposed,
  withPart,
  type BackendWasm,
  type Call,
  type TensorInfo,
} from './wasmHeap';

/** Most elements of a piece that is transposed at once: what a processor's cache holds. */
const PIECE_ELEMENTS = 2 ** 19;

/** Fewest rows of a piece: each is a product of its own, whose result is added to the others'. */
const LEAST_ROWS = 256;

type Multiply = (
  a: number,
  aShape: Uint8Array,
  aRank: number,
  b: number,
  bShape: Uint8Array,
  bRank: number,
  transposeA: number,
  transposeB: number,
  out: number,
) => void;

/** Makes a function of the module callable, arrays copied in. */
type Wrap = (name: string, returns: null, parameters: readonly ('number' | 'array')[]) => Multiply;

const multipliers = new WeakMap<BackendWasm, Multiply>();

/** The backend's own plain product, by the numbers of its arrays. */
function multiplierOf(backend: BackendWasm): Multiply {
  const known = multipliers.get(backend);
  if (known !== undefined) return known;
  const shaped = ['number', 'array', 'number'] as const;
  // The type of the backend's module leaves out what Emscripten puts there.
  const module = backend.wasm as unknown as { readonly cwrap: Wrap };
  const multiply = module.cwrap('BatchMatMul', null, [...shaped, ...shaped, 'number', 'number', 'number']);
  multipliers.set(backend, multiply);
  return multiply;
}

/** C = A·B of matrices M × K and K × N at places in memory. */
export function multiplyInto(
  backend: BackendWasm,
  [a, b, c]: readonly [number, number, number],
  [M, K, N]: readonly [number, number, number],
): void {
  const multiply = multiplierOf(backend);
  const bytesOf = (...shape: number[]): Uint8Array => new Uint8Array(Int32Array.from(shape).buffer);
  withPart(backend, a, [1, M, K], (A) => {
    withPart(backend, b, [1, K, N], (B) => {
      withPart(backend, c, [1, M, N], (C) => {
        const [x, y, z] = [numberOf(backend, A), numberOf(backend, B), numberOf(backend, C)];
        multiply(x, bytesOf(1, M, K), 3, y, bytesOf(1, K, N), 3, 0, 0, z);
      });
    });
  });
}

/** Shapes of a stack of products, transpositions undone: M × K by K × N. */
interface Product {
  readonly counts: readonly [number, number];
  readonly M: number;
  readonly K: number;
  readonly N: number;
}

/** A kernel for `BatchMatMul`; what it does not do itself goes to `original`. */
export function batchMatMul(tf: Tf, original: (call: Call) => TensorInfo): (call: Call) => TensorInfo {
  return (call) => {
    const { inputs, backend, attrs } = call;
    const { a, b } = inputs;
    if (a === undefined || b === undefined) return original(call);
    const [isA, isB] = [attrs.transposeA === true, attrs.transposeB === true];
    const product = productOf(a.shape, b.shape, isA, isB);
    if (product === undefined || a.dtype !== 'float32' || b.dtype !== 'float32') return original(call);
    const { counts, M, N } = product;
    const outer = counts[0] >= counts[1] ? a.shape.slice(0, -2) : b.shape.slice(0, -2);
    const places = [
      placeOf(backend, floatInput(call, 'a')),
      placeOf(backend, floatInput(call, 'b')),
    ] as const;
    const isLong = isA && !isB && counts[0] === 1 && counts[1] === 1;
    const out = isLong
      ? overRows(tf, backend, places, product)
      : oneByOne(tf, backend, places, product, [isA, isB]);
    return { ...out, shape: [...outer, M, N] };
  };
}

/** Undefined for what is left to the backend: nothing to multiply, or stacks of which neither is spread over the other. */
function productOf(
  a: readonly number[],
  b: readonly number[],
  isA: boolean,
  isB: boolean,
): Product | undefined {
  const [rowsA = 0, columnsA = 0] = a.slice(-2);
  const [rowsB = 0, columnsB = 0] = b.slice(-2);
  const [M, K] = isA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [inner, N] = isB ? [columnsB, rowsB] : [rowsB, columnsB];
  const counts = [sizeOf(a.slice(0, -2)), sizeOf(b.slice(0, -2))] as const;
  const isSame = a.length === b.length && a.slice(0, -2).every((size, i) => size === b[i]);
  const isSpread = counts[0] === 1 || counts[1] === 1;
  if (K !== inner || M * K * N === 0 || counts[0] * counts[1] === 0 || !(isSame || isSpread))
    return undefined;
  return { counts, M, K, N };
}

/** Each product by itself, factors that are stored transposed put right before. */
function oneByOne(
  tf: Tf,
  backend: BackendWasm,
  places: readonly [number, number],
  { counts: [countA, countB], M, K, N }: Product,
  [isA, isB]: readonly [boolean, boolean],
): TensorInfo {
  const A = isA ? transposed(tf, backend, places[0], [countA, K, M]) : undefined;
  const B = isB ? transposed(tf, backend, places[1], [countB, N, K]) : undefined;
  const count = Math.max(countA, countB);
  const out = allocate(backend, [count, M, N]);
  const a = A === undefined ? places[0] : placeOf(backend, A);
  const b = B === undefined ? places[1] : placeOf(backend, B);
  const c = placeOf(backend, out);
  for (let i = 0; i < count; i++) {
    const [ofA, ofB] = [countA === 1 ? 0 : i, countB === 1 ? 0 : i];
    multiplyInto(backend, [a + 4 * ofA * M * K, b + 4 * ofB * K * N, c + 4 * i * M * N], [M, K, N]);
  }
  for (const factor of [A, B]) if (factor !== undefined) release(backend, factor);
  return out;
}

/**
 * Aᵀ·B of matrices with many rows, as the gradient of a weight is: piece by piece, each transposed while it is in the
 * cache. Of both factors the narrower is transposed, and the result too where that is B.
 */
function overRows(
  tf: Tf,
  backend: BackendWasm,
  [a, b]: readonly [number, number],
  { M, K, N }: Product,
): TensorInfo {
  if (2 * N < M) {
    const flipped = overRows(tf, backend, [b, a], { counts: [1, 1], M: N, K, N: M });
    const out = transposed(tf, backend, placeOf(backend, flipped), [1, N, M]);
    release(backend, flipped);
    return out;
  }
  const most = Math.max(LEAST_ROWS, Math.floor(PIECE_ELEMENTS / M));
  const out = allocate(backend, [M, N]);
  const part = K > most ? allocate(backend, [M, N]) : undefined;
  for (let first = 0; first < K; first += most) {
    const rows = Math.min(most, K - first);
    const piece = transposed(tf, backend, a + 4 * first * M, [1, rows, M]);
    const target = first === 0 || part === undefined ? out : part;
    const places = [placeOf(backend, piece), b + 4 * first * N, placeOf(backend, target)] as const;
    multiplyInto(backend, places, [M, rows, N]);
    release(backend, piece);
    if (target !== out) addInto(backend, out, target);
  }
  if (part !== undefined) release(backend, part);
  return out;
}

/** sum += part, element by element. */
export function addInto(backend: BackendWasm, sum: TensorInfo, part: TensorInfo): void {
  const [total, values] = [floatsOf(backend, sum), floatsOf(backend, part)];
  for (let i = 0; i < total.length; i++) total[i] = (total[i] ?? 0) + (values[i] ?? 0);
}
