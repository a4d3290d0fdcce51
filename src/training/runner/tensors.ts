/** TensorFlow.js for a run: native where it is installed, on a graphics card, or embedded. */
import type { DeviceSettings } from '../../compute/device/device';
import type { OpenTensorLibrary, TensorLibrary } from '../../compute/device/library';
import { supplyKernels } from '../../network/builtin';
import { startWasm } from '../../network/tfjs/startWasm';
import { whyUnusable } from './probe';

export interface OpenTensorsOptions {
  /** `tensorflow`, `webgpu`, `wasm`, or undefined and `auto` for the first of them that there is. */
  readonly name?: string | undefined;
  readonly settings: DeviceSettings;
  /** In one line: what was asked for cannot be used. */
  readonly onNotice: (notice: string) => void;
}

/** Before the embedded one, the first that there is. */
const NATIVE: readonly string[] = ['tensorflow', 'webgpu'];

/** The library of a run, which is this process's own. What was asked for and is missing is told, and replaced. */
export async function openTensors({
  name = 'auto',
  settings,
  onNotice,
}: OpenTensorsOptions): Promise<TensorLibrary> {
  for (const native of NATIVE) {
    if (name !== 'auto' && name !== native) continue;
    const reason = whyUnusable(native, name === native);
    if (reason === undefined) return openLibrary(native, settings);
    if (name === native) onNotice(`${native} cannot be used: ${reason}; the processor computes instead`);
  }
  return openLibrary('wasm', settings);
}

/** Opens one in this process. @throws Error in one line that says what is missing */
export async function openLibrary(name: string, settings: DeviceSettings): Promise<TensorLibrary> {
  const library = await openerOf(name).then((open) => open(settings));
  supplyKernels(library.tf, library.name);
  return library;
}

async function openerOf(name: string): Promise<OpenTensorLibrary> {
  switch (name) {
    case 'tensorflow':
      return (await import('../../compute/tensorflow/library')).openTensorflowLibrary;
    case 'webgpu':
      return (await import('../../compute/webgpu/library')).openWebgpuLibrary;
    default:
      return openWasm;
  }
}

async function openWasm(): Promise<TensorLibrary> {
  const tf = await import('@tensorflow/tfjs-core');
  await import('@tensorflow/tfjs-core/dist/register_all_gradients');
  const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  await startWasm(tf, setWasmPaths);
  return { tf, name: 'wasm', about: `TensorFlow.js ${tf.version_core}, WebAssembly`, isSoftware: false };
}
