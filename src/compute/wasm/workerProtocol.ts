import type { Tensor } from '../../checkpoint/checkpoint';
import type {
  FitResult,
  FitTarget,
  GramRequest,
  ProductRequest,
  SineFit,
  SineFitOptions,
  SpectrumRequest,
  SpectrumResult,
  SymmetricEigen,
  TruncatedSvd,
} from '../backend';
import type { SineAnswer, SineTurn } from './fits';
import type { GramSingularValues } from './gramPath';

/** What a worker can be asked for, and what each answer holds. */
export interface WorkerCalls {
  readonly digest: { readonly argument: Tensor; readonly result: string };
  readonly singularValues: { readonly argument: SpectrumRequest; readonly result: SpectrumResult };
  readonly gramEigenvalues: {
    readonly argument: { readonly gram: Float64Array; readonly n: number };
    readonly result: GramSingularValues;
  };
  readonly symmetricEigen: {
    readonly argument: { readonly matrix: Float64Array; readonly n: number };
    readonly result: SymmetricEigen;
  };
  readonly truncatedSvd: {
    readonly argument: { readonly target: FitTarget; readonly rank: number };
    readonly result: FitResult<TruncatedSvd>;
  };
  readonly sineFit: {
    readonly argument: { readonly target: FitTarget; readonly options: SineFitOptions };
    readonly result: FitResult<SineFit>;
  };
  readonly sineTurn: {
    readonly argument: {
      readonly target: FitTarget;
      readonly options: SineFitOptions;
      readonly answer: SineAnswer | undefined;
    };
    readonly result: FitResult<SineTurn>;
  };
  readonly accumulateGram: { readonly argument: GramRequest; readonly result: Float64Array };
  readonly product: { readonly argument: ProductRequest; readonly result: Float64Array };
}

export type CallName = keyof WorkerCalls;

export type WorkerRequest = {
  readonly [K in CallName]: { readonly call: K; readonly argument: WorkerCalls[K]['argument'] };
}[CallName];

export type WorkerReply =
  | { readonly kind: 'fraction'; readonly fraction: number }
  | { readonly kind: 'result'; readonly result: WorkerCalls[CallName]['result'] }
  | { readonly kind: 'failure'; readonly message: string };

/** What a worker is started with: the compiled kernels, shared by all. */
export interface WorkerSetup {
  readonly module: WebAssembly.Module;
}
