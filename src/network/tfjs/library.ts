/**
 * What is used of TensorFlow.js. Bundled by itself (`dist/tfjs.js`) and loaded when the first such network is opened, so
 * that nothing else starts slower for it; everywhere else these names are types only.
 */
import '@tensorflow/tfjs-backend-wasm';
import * as core from '@tensorflow/tfjs-core';

/** All of it, for networks that are built here. */
export { core };
export { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
export {
  enableProdMode,
  memory,
  ready,
  setBackend,
  tensor,
  tidy,
  version_core as version,
  type io,
  type Tensor,
} from '@tensorflow/tfjs-core';
export {
  initializers,
  layers,
  LayersModel,
  loadLayersModel,
  sequential,
  type LayerVariable,
  type SymbolicTensor,
} from '@tensorflow/tfjs-layers';
