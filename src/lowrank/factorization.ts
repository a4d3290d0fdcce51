import type { ComputeBackend, FitResult, FitTarget, OnFraction } from '../compute';

/** One factor of a matrix, row-major. */
export interface Factor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A matrix kept as factors: what a factorization makes, what files hold, what can be multiplied out. */
export interface FactoredMatrix {
  /** Name of its factorization. */
  readonly factorization: string;
  /** m, outputs. */
  readonly rows: number;
  /** n, inputs. */
  readonly columns: number;
  readonly rank: number;
  readonly factors: readonly Factor[];
  /** Numbers that are not trained: ω and g. */
  readonly scalars: Readonly<Record<string, number>>;
}

export interface FitSettings {
  readonly rank: number;
  readonly seed: number;
  readonly omega?: number;
  readonly gain?: number;
  /** Most optimisation steps, for factorizations that take any. */
  readonly steps?: number;
}

export interface Fitted {
  readonly matrix: FactoredMatrix;
  /** ‖W − Ŵ‖ ÷ ‖W‖, in the target's norm. */
  readonly relativeError: number;
  /** Truncated SVD at the same rank, in the same norm: what every factorization is held against. */
  readonly svdRelativeError: number;
}

/** Parameters and work of one matrix m × n kept at rank k. */
export interface Ledger {
  readonly parameters: number;
  /** Bytes of the factors in float32. */
  readonly bytes: number;
  /** Multiply-adds for one input vector. */
  readonly multiplyAdds: number;
  /** Multiply-adds once a forward pass, whatever the batch, to make the dense matrix; 0 where none is needed. */
  readonly materialiseMultiplyAdds: number;
}

/** A way to keep a matrix as fewer numbers. Each member is one file; `index.ts` lists them. */
export interface Factorization {
  /** `svd`, `sine`: as the command line and files name it. */
  readonly name: string;
  /** For people: `truncated SVD`. */
  readonly title: string;
  /** Costs of an m × n matrix at rank k. */
  ledger(rows: number, columns: number, rank: number): Ledger;
  /** Largest rank at which the factors are fewer numbers than m·n; 0 when there is none. */
  largestSavingRank(rows: number, columns: number): number;
  fit(
    target: FitTarget,
    settings: FitSettings,
    backend: ComputeBackend,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<FitResult<Fitted>>;
  /** m × n row-major, float32. */
  materialise(matrix: FactoredMatrix): Float32Array;
}
