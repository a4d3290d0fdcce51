import type { ComputeBackend } from './backend';
import { createWasmBackend } from './wasm/backend';

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

/** Backends by name, in order of preference. */
const BACKENDS: Readonly<Record<string, (threads?: number) => ComputeBackend>> = {
  wasm: createWasmBackend,
};

export const BACKEND_NAMES: readonly string[] = Object.keys(BACKENDS);

/**
 * A compute backend, ready for use.
 * @param name one of `BACKEND_NAMES`, or undefined or `auto` for the best there is.
 * @param threads layers worked on at once; undefined for the backend's own choice.
 * @throws {Error} with a one-line message for a name that is not known.
 */
export function createBackend(name?: string, threads?: number): ComputeBackend {
  const wanted = name === undefined || name === 'auto' ? 'wasm' : name;
  const create = Object.hasOwn(BACKENDS, wanted) ? BACKENDS[wanted] : undefined;
  if (create === undefined)
    throw new Error(`unknown backend "${wanted}": choose ${BACKEND_NAMES.join(', ')} or auto`);
  return create(threads);
}
