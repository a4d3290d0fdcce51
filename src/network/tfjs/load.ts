import { pathToFileURL } from 'node:url';
import { bundledFile } from '../../compute/wasm/kernels';
import type * as Library from './library';

export type TensorFlow = typeof Library;
export type Tensor = Library.Tensor;
export type Layer = Library.layers.Layer;
export type LayersModel = Library.LayersModel;
export type LayerVariable = Library.LayerVariable;
export type SymbolicTensor = Library.SymbolicTensor;

let loading: Promise<TensorFlow> | undefined;

/** TensorFlow.js on its WebAssembly backend, loaded once. @throws {Error} with one line when it does not start */
export function loadTensorFlow(): Promise<TensorFlow> {
  loading ??= start();
  return loading;
}

async function start(): Promise<TensorFlow> {
  const file = pathToFileURL(bundledFile('tfjs.js')).href;
  // The bundle of library.ts, which the build puts there.
  const { default: tf } = (await import(file)) as { readonly default: TensorFlow };
  // Without it, TensorFlow.js advertises its native package on stderr.
  tf.enableProdMode();
  const wasm = bundledFile('tfjs-backend-wasm-simd.wasm');
  // All engines that run Rankscope have SIMD; in Node, TensorFlow.js does not use its build with threads.
  tf.setWasmPaths({
    'tfjs-backend-wasm.wasm': wasm,
    'tfjs-backend-wasm-simd.wasm': wasm,
    'tfjs-backend-wasm-threaded-simd.wasm': wasm,
  });
  const isThere = await tf.setBackend('wasm');
  if (!isThere) throw new Error('the WebAssembly backend of TensorFlow.js does not start on this machine');
  await tf.ready();
  return tf;
}
