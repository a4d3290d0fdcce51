/** What TensorFlow needs of CUDA, and what of it is not there: TensorFlow itself falls back to the processor silently. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Libraries that TensorFlow 2.9 opens on Linux before it takes a GPU, and what each is part of. */
const LIBRARIES: readonly (readonly [string, string])[] = [
  ['libcudart.so.11', 'CUDA 11'],
  ['libcublas.so.11', 'CUDA 11'],
  ['libcublasLt.so.11', 'CUDA 11'],
  ['libcufft.so.10', 'CUDA 11'],
  ['libcurand.so.10', 'CUDA 11'],
  ['libcusolver.so.11', 'CUDA 11'],
  ['libcusparse.so.11', 'CUDA 11'],
  ['libcudnn.so.8', 'cuDNN 8'],
];

/**
 * Why TensorFlow took no GPU, in a few words, from the names of the libraries in the process.
 *
 * @param maps the text of /proc/self/maps
 */
export function whyNoGpu(maps: string): string {
  if (!maps.includes('/libcuda.so.')) return 'no NVIDIA driver';
  const missing = LIBRARIES.find(([name]) => !maps.includes(`/${name}`));
  return missing === undefined ? 'no NVIDIA GPU' : `${missing[0]} of ${missing[1]} is missing`;
}

/** The same for this process; `undefined` where the system does not say (outside Linux). */
export function whyNoGpuHere(): string | undefined {
  const maps = read('/proc/self/maps');
  return maps === undefined ? undefined : whyNoGpu(maps);
}

/** Name of the GPU as its driver gives it (Linux), where all GPUs of the machine have the same. */
export function gpuName(folder = '/proc/driver/nvidia/gpus'): string | undefined {
  let gpus: string[];
  try {
    gpus = readdirSync(folder);
  } catch {
    return undefined;
  }
  const names = gpus.map((gpu) =>
    /^Model:\s*(.+)$/m.exec(read(path.join(folder, gpu, 'information')) ?? '')?.[1]?.trim(),
  );
  const [name] = names;
  return names.every((other) => other === name) ? name : undefined;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
