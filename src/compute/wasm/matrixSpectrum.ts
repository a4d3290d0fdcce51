import type { MatrixView } from '../../checkpoint/matrixView';
import type { OnFraction } from '../backend';
import { accurateSingularValues } from './accuratePath';
import { gramBytes, gramPathBytes, GramReducer, isReliable, type GramSpectrum } from './gramPath';
import { MAX_MEMORY_BYTES, type KernelInstance } from './kernels';
import { shapeOf, shapeOver, type Shape } from './slabs';
import type { TensorElements } from './tensorElements';

/** Matrices with a side this short take the accurate path at once: it costs microseconds there. */
const ALWAYS_ACCURATE = 32;

/** Memory left for the blocks of elements, which are at most this in total, when the Gram matrix is at its largest. */
const BLOCKS_RESERVE = 128 << 20;

/** Reports progress of the matrix with this number among those requested. */
export type OnMatrixFraction = (index: number) => OnFraction;

/** Bytes of memory, beyond the blocks of elements, that the singular values of some matrices of a tensor need. */
export function workBytes(views: readonly MatrixView[]): number {
  const [first] = views;
  const total = isStack(views) && first !== undefined ? gramBytes(first.columns) : 0;
  return total + Math.max(0, ...views.map((view) => gramPathBytes(shapeOf(view).small)));
}

/**
 * The min(m, n) singular values of each matrix, descending, never negative. Largest error 2e-8·σ₁.
 *
 * @throws {NonFiniteMatrix} when an element is NaN or infinite.
 * @throws {RangeError} when a smaller side is beyond what 4 GiB of memory hold (about 22,000).
 */
export function singularValues(
  views: readonly MatrixView[],
  elements: TensorElements,
  instance: KernelInstance,
  onFraction: OnMatrixFraction,
): Float64Array[] {
  if (workBytes(views) > MAX_MEMORY_BYTES - BLOCKS_RESERVE) {
    const small = Math.max(...views.map((view) => shapeOf(view).small));
    throw new RangeError(`its smaller side, ${small}, needs more than WebAssembly's 4 GiB of memory`);
  }
  const spectra = isStack(views)
    ? instance.scoped(() => stackSpectra(views, elements, instance, onFraction))
    : views.map((view, i) => instance.scoped(() => ofOne(view, elements, instance, onFraction(i))));
  const { factor } = elements;
  return factor === 1 ? spectra : spectra.map((values) => values.map((value) => value / factor));
}

function ofOne(
  view: MatrixView,
  elements: TensorElements,
  instance: KernelInstance,
  onFraction: OnFraction,
): Float64Array {
  const shape = shapeOf(view);
  if (shape.small === 0) return new Float64Array(0);
  if (shape.small > ALWAYS_ACCURATE) {
    const spectrum = instance.scoped(() => {
      const reducer = new GramReducer(shape.small, instance);
      reducer.sum(view, shape, elements, onFraction);
      return reducer.reduce(shape, onFraction);
    });
    if (isReliable(spectrum)) return spectrum.values;
  }
  return accurateSingularValues(view, shape, elements, instance, onFraction);
}

/**
 * Whether the first matrix is the others, each at least as tall as wide, one above the other: a fused projection of
 * queries, keys and values. Its Gram matrix is the sum of theirs.
 */
function isStack([whole, ...parts]: readonly MatrixView[]): boolean {
  if (whole === undefined || parts.length < 2 || whole.columns <= ALWAYS_ACCURATE) return false;
  let next = whole.offset;
  for (const { offset, rows, columns, rowStride } of parts) {
    if (offset !== next || columns !== whole.columns || rowStride !== whole.rowStride || rows < columns)
      return false;
    next += rows * rowStride;
  }
  return next === whole.offset + whole.rows * whole.rowStride;
}

function stackSpectra(
  views: readonly MatrixView[],
  elements: TensorElements,
  instance: KernelInstance,
  onFraction: OnMatrixFraction,
): Float64Array[] {
  const [whole, ...parts] = views;
  if (whole === undefined) return [];
  const { columns } = whole;
  const spectra: GramSpectrum[] = instance.scoped(() => {
    const reducer = new GramReducer(columns, instance);
    const { length } = reducer.gram;
    const address = instance.allocate(length * 8);
    instance.float64(address, length).fill(0);
    const ofParts = parts.map((view, i) => {
      const shape = shapeOver('rows', view.rows, columns);
      reducer.sum(view, shape, elements, onFraction(i));
      addInto(instance.float64(address, length), reducer.gram);
      return reducer.reduce(shape, onFraction(i));
    });
    reducer.gram.set(instance.float64(address, length));
    const ofWhole = reducer.reduce(shapeOver('rows', whole.rows, columns), onFraction(parts.length));
    return [ofWhole, ...ofParts];
  });
  return spectra.map((spectrum, i) => {
    const view = views[i];
    if (view === undefined || isReliable(spectrum)) return spectrum.values;
    const shape: Shape = shapeOf(view);
    return instance.scoped(() =>
      accurateSingularValues(view, shape, elements, instance, onFraction(parts.length)),
    );
  });
}

function addInto(sum: Float64Array, matrix: Float64Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (matrix[i] ?? 0);
}
