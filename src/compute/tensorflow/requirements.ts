/** What TensorFlow 2.9.1, which `@tensorflow/tfjs-node(-gpu)` 4.22 brings, runs on. */
import type { TensorflowVariant } from './locate';

const FOR_PROCESSORS = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64'];
const FOR_GPUS = ['linux-x64', 'win32-x64'];

/** One line where there is no such TensorFlow for a platform; `undefined` where there is. */
export function whyUnsupported(
  variant: TensorflowVariant,
  platform: NodeJS.Platform,
  arch: string,
): string | undefined {
  const here = `${platform}-${arch}`;
  if (variant === 'gpu' && !FOR_GPUS.includes(here))
    return `TensorFlow with CUDA is made for Linux and Windows on x64, and this is ${here}: use the webgpu backend`;
  if (variant === 'cpu' && !FOR_PROCESSORS.includes(here))
    return `TensorFlow.js has no TensorFlow for ${here}: use the wasm backend`;
  return undefined;
}

/**
 * What the GPU variant needs, a line each, for people: the versions that TensorFlow 2.9 is built and tested with, and
 * for Linux the names of the libraries that it looks for.
 */
export function requirements(platform: NodeJS.Platform): readonly string[] {
  if (platform !== 'linux' && platform !== 'win32')
    return ['TensorFlow with CUDA is made for Linux and Windows on x64: use the webgpu backend here.'];
  const onLinux = platform === 'linux';
  return [
    `${onLinux ? 'Linux' : 'Windows'} on x64, and an NVIDIA GPU of compute capability 3.5 or higher.`,
    `NVIDIA's driver, ${onLinux ? '450.80.02' : '452.39'} or newer.`,
    onLinux
      ? 'CUDA 11.2, or a later 11.x; CUDA 12 does not serve. Its libraries, libcudart.so.11.0 among them, must be found: ldconfig or LD_LIBRARY_PATH.'
      : 'CUDA 11.2, or a later 11.x; CUDA 12 does not serve. Its bin folder must be on PATH.',
    onLinux
      ? 'cuDNN 8.1, or a later 8.x for CUDA 11 (libcudnn.so.8).'
      : 'cuDNN 8.1, or a later 8.x for CUDA 11: its bin folder on PATH too, with zlibwapi.dll from 8.3 on.',
    'npm, and a network: the npm registry for the packages, and the TensorFlow project’s file host for the library, several hundred megabytes.',
    'Without a GPU, a driver or these libraries TensorFlow runs on the processor, and the backend says so.',
  ];
}
