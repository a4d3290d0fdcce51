import type { Tensor } from '../checkpoint/checkpoint';
import type { MatrixView } from '../checkpoint/matrixView';

/** Singular values wanted of one or more matrices of one tensor (groups of a convolution, q, k and v …). */
export interface SpectrumRequest {
  readonly tensor: Tensor;
  readonly matrices: readonly MatrixView[];
}

/** Values that are not numbers, which a spectrum cannot be taken of. */
export interface NonFinite {
  readonly nan: number;
  readonly infinite: number;
  /** Index of the first of them among the tensor's elements in row-major order. */
  readonly firstIndex: number;
}

export type SpectrumResult =
  | {
      readonly kind: 'spectra';
      /** One array per requested matrix: min(rows, columns) singular values, descending, never negative. */
      readonly singularValues: readonly Float64Array[];
    }
  | { readonly kind: 'nonFinite'; readonly nonFinite: NonFinite }
  /** The backend cannot take a matrix of this size; `reason` completes "skipped: …". */
  | { readonly kind: 'tooLarge'; readonly reason: string };

/** Reports how far the request is, 0 … 1, by estimated work. */
export type OnFraction = (fraction: number) => void;

/** Eigenpairs of a real symmetric matrix. */
export interface SymmetricEigen {
  /** n eigenvalues, ascending. */
  readonly values: Float64Array;
  /** n × n row-major; row i is the unit eigenvector of values[i]. */
  readonly vectors: Float64Array;
}

/**
 * What every backend can do. A failure rejects with an `Error` whose message is one line;
 * an aborted signal rejects with the signal's reason.
 */
export interface ComputeBackend {
  /** `wasm`, `tensorflow`, `webgpu`. */
  readonly name: string;
  /** Names the build in use, so that results cached from another one are told apart: `wasm relaxed-simd 1`. */
  readonly build: string;
  /** Number of layers it works on at once. */
  readonly concurrency: number;
  /** Content hash (hex sha256) of the tensor's stored bytes and layout; reads the tensor once. */
  digest(tensor: Tensor, signal: AbortSignal): Promise<string>;
  /** Singular values, largest error at most 2e-8·σ₁. */
  singularValues(
    request: SpectrumRequest,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<SpectrumResult>;
  /** All eigenpairs of a symmetric n × n matrix (row-major, lower triangle read). */
  symmetricEigen(matrix: Float64Array, n: number, signal: AbortSignal): Promise<SymmetricEigen>;
  dispose(): Promise<void>;
}
