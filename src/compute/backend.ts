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

/** A weight matrix to be approximated, as the checkpoint keeps it. */
export interface FitTarget {
  readonly tensor: Tensor;
  readonly matrix: MatrixView;
  /** The view holds Wᵀ (in × out): factors are still of W, U m × k and V n × k. */
  readonly transposed: boolean;
  /**
   * G = Σ x·xᵀ of the layer's inputs, n × n row-major, symmetric: errors are then measured as ‖(W − Ŵ)·G^{1/2}‖ over
   * ‖W·G^{1/2}‖. Absent: the plain Frobenius norm.
   */
  readonly inputGram?: Float64Array;
}

/** The best approximation of rank k (Eckart–Young; in the norm of the inputs where a Gram matrix is given). */
export interface TruncatedSvd {
  /** m × k row-major, U·√Σ. */
  readonly U: Float32Array;
  /** n × k row-major, V·√Σ. */
  readonly V: Float32Array;
  /** ‖W − U·Vᵀ‖ ÷ ‖W‖ in the target's norm, of the float32 factors as they are returned. */
  readonly relativeError: number;
}

export interface SineFitOptions {
  readonly rank: number;
  /** Frequency; scales U and V only, not the error. */
  readonly omega: number;
  /** Fixed gain g; absent: searched. With one, a fit may be worse than truncated SVD: the linear limit is gone. */
  readonly gain?: number;
  /** Most Adam steps of one descent, of which there are one or two; it stops early when nothing more is gained. */
  readonly steps: number;
  /** Decides every random choice. */
  readonly seed: number;
}

/** Ŵ = sin(ω·U·Vᵀ)/g. */
export interface SineFit {
  readonly U: Float32Array;
  readonly V: Float32Array;
  readonly gain: number;
  /** Never above `svdRelativeError` by more than float32 rounding (unless g was fixed): the linear limit is a candidate. */
  readonly relativeError: number;
  /** Truncated SVD at the same rank, in the same norm. */
  readonly svdRelativeError: number;
  /** Adam steps taken over all candidates. */
  readonly steps: number;
}

/** Values that are not finite cannot be fitted; too large ones neither. */
export type FitResult<T> =
  | { readonly kind: 'fit'; readonly fit: T }
  | { readonly kind: 'nonFinite'; readonly nonFinite: NonFinite }
  | { readonly kind: 'tooLarge'; readonly reason: string };

/** Summed products of activations, added to a running Gram matrix. */
export interface GramRequest {
  /** n × n row-major; `rows` is added to it, and it is handed back. */
  readonly gram: Float64Array;
  readonly n: number;
  /** samples × n row-major, float32 as the network computes it. */
  readonly rows: Float32Array;
}

/** Dense product in float64: rows × inner by inner × columns, row-major. */
export interface ProductRequest {
  readonly A: Float64Array;
  readonly B: Float64Array;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
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
  /** Truncated SVD of one matrix. */
  truncatedSvd(
    target: FitTarget,
    rank: number,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<FitResult<TruncatedSvd>>;
  /** Fits sin(ω·U·Vᵀ)/g to one matrix. The same request gives the same bits on the same build. */
  sineFit(
    target: FitTarget,
    options: SineFitOptions,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<FitResult<SineFit>>;
  /** gram + Σ x·xᵀ over the rows, in float64. Arrays are handed over, not copied: use the result. */
  accumulateGram(request: GramRequest, signal: AbortSignal): Promise<Float64Array>;
  /** A·B in float64. */
  product(request: ProductRequest, signal: AbortSignal): Promise<Float64Array>;
  dispose(): Promise<void>;
}
