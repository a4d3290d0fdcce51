/** Loads TensorFlow.js with its native binding into this process, which is then TensorFlow's own. */
import { createRequire } from 'node:module';
import path from 'node:path';
import type * as TensorflowJs from '@tensorflow/tfjs-core';
import { firstLine } from '../device/firstLine';
import type { TensorflowBinding } from './binding';
import { packageOf, type InstalledTensorflow } from './locate';

export type Tensorflow = typeof TensorflowJs;

export interface LoadedTensorflow {
  readonly tf: Tensorflow;
  readonly binding: TensorflowBinding;
}

/** Read by TensorFlow and CUDA when they start, so set before; what a person has set stays, but for the precision. */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  // Errors alone, and even these only where they do not become exceptions: stderr is the process's last words.
  TF_CPP_MIN_LOG_LEVEL: '3',
  // Else it takes all of the GPU's memory at once.
  TF_FORCE_GPU_ALLOW_GROWTH: 'true',
};

/** @throws Error in one line: what is the matter with the installation, and what to do */
export function loadTensorflow(installed: InstalledTensorflow): LoadedTensorflow {
  for (const [name, value] of Object.entries(ENVIRONMENT)) process.env[name] ??= value;
  // TF32 keeps 10 bits of each float32: not what is asked for.
  process.env.NVIDIA_TF32_OVERRIDE = '0';
  process.noDeprecation = true;
  restoreRemovedFunctions();
  const library = required(installed);
  // Its words to developers about faster packages.
  library.enableProdMode();
  const binding = bindingOf(library.backend());
  if (binding === undefined)
    throw new Error(`TensorFlow in ${installed.folder} did not start: ${reinstall(installed)}`);
  return { tf: library, binding };
}

function required(installed: InstalledTensorflow): Tensorflow {
  try {
    // The package is TensorFlow.js with one more backend.
    return createRequire(path.join(installed.folder, 'package.json'))(installed.folder) as Tensorflow;
  } catch (error) {
    throw new Error(`TensorFlow cannot be loaded: ${firstLine(error)}; ${reinstall(installed)}`, {
      cause: error,
    });
  }
}

/** Node 23 took away functions that the package calls; older ones warn of each. */
function restoreRemovedFunctions(): void {
  const util = createRequire(__filename)('node:util') as Record<string, unknown>;
  util.isNullOrUndefined = (value: unknown) => value === null || value === undefined;
  util.isArray = Array.isArray;
}

function bindingOf(backend: unknown): TensorflowBinding | undefined {
  if (typeof backend !== 'object' || backend === null || !('binding' in backend)) return undefined;
  const { binding } = backend;
  if (typeof binding !== 'object' || binding === null || !('executeOp' in binding)) return undefined;
  // As the package's own backend uses it.
  return binding as TensorflowBinding;
}

function reinstall({ variant }: InstalledTensorflow): string {
  return `install ${packageOf(variant)} anew`;
}
