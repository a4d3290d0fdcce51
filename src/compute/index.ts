export { abortReason } from './abort';
export type {
  ComputeBackend,
  FitResult,
  FitTarget,
  NonFinite,
  OnFraction,
  SineFit,
  SineFitOptions,
  SpectrumRequest,
  SpectrumResult,
  SymmetricEigen,
  TruncatedSvd,
} from './backend';

export {
  BACKEND_NAMES,
  openBackend,
  reportBackends,
  type BackendReport,
  type BackendOptions,
  type ChosenBackend,
} from './choice';
export type { DeviceSettings } from './device/device';
export { installTensorflow } from './tensorflow/install';
export { requirements as tensorflowRequirements, whyUnsupported } from './tensorflow/requirements';

/** The embedded backend, which is always there. @param threads layers worked on at once; undefined for its own choice. */
export { createWasmBackend } from './wasm/backend';
