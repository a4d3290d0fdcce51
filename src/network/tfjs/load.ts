import { pathToFileURL } from 'node:url';
import { bundledFile } from '../../compute/wasm/kernels';
import type * as Library from './library';
import { startWasm } from './startWasm';

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
  await startWasm(tf, tf.setWasmPaths);
  return tf;
}
