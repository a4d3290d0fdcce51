import type * as Core from '@tensorflow/tfjs-core';
import { bundledFile } from '../../compute/wasm/kernels';

/** What starting takes of TensorFlow.js and its WebAssembly backend. */
type Startable = Pick<typeof Core, 'enableProdMode' | 'setBackend' | 'ready'>;

/** Sets the embedded backend of TensorFlow.js. @throws {Error} with one line when it does not start */
export async function startWasm(
  tf: Startable,
  setWasmPaths: (files: Record<string, string>) => void,
): Promise<void> {
  // Without it, TensorFlow.js advertises its native package on stderr.
  tf.enableProdMode();
  const wasm = bundledFile('tfjs-backend-wasm-simd.wasm');
  // All engines that run Rankscope have SIMD; in Node, TensorFlow.js does not use its build with threads.
  setWasmPaths({
    'tfjs-backend-wasm.wasm': wasm,
    'tfjs-backend-wasm-simd.wasm': wasm,
    'tfjs-backend-wasm-threaded-simd.wasm': wasm,
  });
  const isThere = await tf.setBackend('wasm');
  if (!isThere) throw new Error('the WebAssembly backend of TensorFlow.js does not start on this machine');
  await tf.ready();
}
