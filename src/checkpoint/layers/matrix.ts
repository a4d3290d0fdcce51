import type { LayerKind, LayerPartView } from './layer';
import type { MatrixView } from '../matrixView';

/** How a tensor is read as one layer, before it has a name. */
export interface LayerReading {
  readonly kind: LayerKind;
  /** out × in, of one group. */
  readonly shape: readonly [number, number];
  readonly matrices: readonly MatrixView[];
  /** The views hold Wᵀ. */
  readonly transposed?: true;
  readonly groups?: number;
  readonly trivialRank?: true;
  readonly parts?: readonly LayerPartView[];
}

/** The whole of a row-major rows × columns matrix that begins at element `offset`. */
export function wholeMatrix(rows: number, columns: number, offset = 0): MatrixView {
  return { offset, rows, columns, rowStride: columns };
}

/** A stored matrix, and whether it is stored in × out. */
export interface StoredMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly transposed: boolean;
}

/** The layer's shape, out × in. */
export function outByIn({ rows, columns, transposed }: StoredMatrix): readonly [number, number] {
  return transposed ? [columns, rows] : [rows, columns];
}

/**
 * Blocks of outputs of a fused layer, in order: rows of an out × in matrix, columns of an in × out one.
 *
 * @param sizes outputs of each block; their sum is the layer's number of outputs
 */
export function outputBlocks(
  stored: StoredMatrix,
  names: readonly string[],
  sizes: readonly number[],
): LayerPartView[] {
  const [, inputs] = outByIn(stored);
  let first = 0;
  return names.map((name, i) => {
    const size = sizes[i] ?? 0;
    const view: MatrixView = stored.transposed
      ? { offset: first, rows: inputs, columns: size, rowStride: stored.columns }
      : wholeMatrix(size, inputs, first * inputs);
    first += size;
    return { name, shape: [size, inputs], matrices: [view] };
  });
}
