import type { OpenTensorLibrary } from '../device/library';
import { openAdapter, adapterName, graphicsInterface, isSoftwareAdapter } from './dawn';
import { requestDevice } from './device';

/** TensorFlow.js on a graphics card through Dawn. */
export const openWebgpuLibrary: OpenTensorLibrary = async (settings) => {
  const adapter = await openAdapter(settings);
  const device = await requestDevice(adapter);
  // Loaded after Dawn's names have become global.
  const { tensorsOn } = await import('./tensors');
  await import('@tensorflow/tfjs-core/dist/register_all_gradients');
  const { tf } = await tensorsOn(device, adapter.info);
  return {
    tf,
    name: 'webgpu',
    about: `${adapterName(adapter.info)}, Dawn, ${graphicsInterface()}`,
    isSoftware: isSoftwareAdapter(adapter.info),
  };
};
