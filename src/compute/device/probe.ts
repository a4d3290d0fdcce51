/** Whether a device is there, right, and how fast: found out in its own process, and remembered. */
import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Tensor } from '../../checkpoint/checkpoint';
import { ensureFolder } from '../../checkpoint/write/ensureFolder';
import type { SpectrumRequest } from '../backend';
import type { WasmBackend } from '../wasm/backend';
import type { DeviceFacts, DeviceKind, DeviceMatrix, DeviceSettings } from './device';
import { DeviceLost, DeviceProcess, type DeviceProgram } from './process';
import { spectrumWork, speedOf, type Speed } from './speed';

/** What is known of a device. */
export type Probed =
  | {
      readonly usable: true;
      readonly facts: DeviceFacts;
      readonly takesFloat64: boolean;
      readonly speed: Speed;
      /** Of one thread of the processor, measured beside it. */
      readonly processorSpeed: Speed;
    }
  | { readonly usable: false; readonly reason: string };

export interface ProbeOptions {
  readonly settings: DeviceSettings;
  /** What the device is held against. */
  readonly wasm: WasmBackend;
  readonly signal: AbortSignal;
  /** Folder for what is found; absent: nothing is remembered. */
  readonly folder?: string | undefined;
  readonly limitMs: number;
  /** Look again, whatever is remembered. */
  readonly again?: boolean | undefined;
  /** What runs as the device's process, where it is another one than is built for it. */
  readonly program?: DeviceProgram | undefined;
  /** Names this program: another version looks again. */
  readonly version: string;
}

/**
 * A probe ends within this, whatever happens: the process is ended then. Nobody asked for the device by name, so nobody
 * is to wait for it.
 */
export const PROBE_LIMIT_MS = 3000;

/** For a device that was asked for: a driver that compiles its first kernels takes its time. */
export const PATIENT_LIMIT_MS = 30_000;

/** What is remembered is believed this long: drivers come and go, and what is missing may just have been installed. */
const [BELIEVED_MS, DISBELIEVED_MS] = [14 * 24 * 3600 * 1000, 3600 * 1000];

/** Promised of all backends: largest error of a singular value over σ₁. */
const LARGEST_ERROR = 2e-8;

/** Small enough for any device; large enough, where the first one was quick, to tell how fast it is. */
const [SMALL, LARGE] = [
  { rows: 96, columns: 160 },
  { rows: 768, columns: 1024 },
];

/** A device that takes longer than this for the small one would take seconds for the large one. */
const QUICK_SECONDS = 0.15;

/** What is known of a device, from an earlier look where that is recent. Never throws but for the signal. */
export async function probe(kind: DeviceKind, options: ProbeOptions): Promise<Probed> {
  const file = rememberedIn(kind, options);
  if (file !== undefined && options.again !== true) {
    const known = await recall(file);
    // Who asks for a device by name has reason to think that it is there.
    const isPatient = options.limitMs === PATIENT_LIMIT_MS;
    if (known !== undefined && (known.usable || !isPatient)) return known;
  }
  const found = await look(kind, options);
  if (file !== undefined) await remember(file, found);
  return found;
}

async function look(
  kind: DeviceKind,
  { settings, wasm, signal, program, limitMs }: ProbeOptions,
): Promise<Probed> {
  const end = performance.now() + limitMs;
  const left = (): number => Math.max(1, end - performance.now());
  let opened: Awaited<ReturnType<typeof DeviceProcess.open>> | undefined;
  try {
    opened = await DeviceProcess.open(kind, settings, { signal, limitMs: left(), program });
    const { process: device, facts, takesFloat64 } = opened;
    // The first call compiles kernels; the second tells how long a call takes.
    const small = matrixOf(SMALL);
    const first = await timed(() => spectrumOn(device, small, wasm, signal, left()));
    const again = await timed(() => spectrumOn(device, small, wasm, signal, left()));
    const reference = await timed(() => wasm.singularValues(requestOf(small), signal));
    const difference = largestDifference(first.value, valuesOf(reference.value));
    if (!(difference <= LARGEST_ERROR))
      return {
        usable: false,
        reason: `it computes wrongly: singular values are off by ${difference} of the largest`,
      };
    const points = [{ work: spectrumWork(SMALL), seconds: again.seconds }];
    const processorPoints = [{ work: spectrumWork(SMALL), seconds: reference.seconds }];
    if (again.seconds < QUICK_SECONDS) {
      const large = matrixOf(LARGE);
      const work = spectrumWork(LARGE);
      points.push({ work, ...(await timed(() => spectrumOn(device, large, wasm, signal, left()))) });
      processorPoints.push({ work, ...(await timed(() => wasm.singularValues(requestOf(large), signal))) });
    }
    return {
      usable: true,
      facts,
      takesFloat64,
      speed: lineThrough(points),
      processorSpeed: lineThrough(processorPoints),
    };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof DeviceLost)) throw error;
    return { usable: false, reason: error.message };
  } finally {
    await opened?.process.dispose();
  }
}

function lineThrough(points: readonly { readonly work: number; readonly seconds: number }[]): Speed {
  const [small, large] = points;
  if (small === undefined) throw new RangeError('a speed of nothing');
  return large === undefined ? { fixed: 0, perUnit: small.seconds / small.work } : speedOf(small, large);
}

async function timed<T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly seconds: number }> {
  const start = performance.now();
  const value = await work();
  return { value, seconds: (performance.now() - start) / 1000 };
}

async function spectrumOn(
  device: DeviceProcess,
  matrix: DeviceMatrix,
  wasm: WasmBackend,
  signal: AbortSignal,
  limitMs: number,
): Promise<Float64Array> {
  const found = await device.run('spectrum', matrix, { signal, limitMs });
  if (found.kind === 'values') return found.values;
  if (found.kind === 'gram') {
    const { values } = await wasm.gramEigenvalues(found.gram, Math.min(matrix.rows, matrix.columns), signal);
    return values;
  }
  throw new DeviceLost(found.kind === 'refused' ? found.reason : 'it takes numbers for none');
}

/** Entries of all sizes from a fixed rule: the same matrix everywhere. */
function matrixOf({ rows, columns }: { readonly rows: number; readonly columns: number }): DeviceMatrix {
  let state = 20_240_607;
  const values = Float32Array.from({ length: rows * columns }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state / 2_147_483_647 - 0.5) ** 3;
  });
  return { rows, columns, values };
}

function requestOf({ rows, columns, values }: DeviceMatrix): SpectrumRequest {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const tensor: Tensor = {
    name: 'probe',
    shape: [rows, columns],
    dtype: 'float32',
    storage: { encoding: 'memory', path: '', bytes, byteLength: bytes.length },
    role: 'model',
  };
  return { tensor, matrices: [{ offset: 0, rows, columns, rowStride: columns }] };
}

function valuesOf(result: Awaited<ReturnType<WasmBackend['singularValues']>>): Float64Array {
  const [values] = result.kind === 'spectra' ? result.singularValues : [];
  if (values === undefined) throw new Error('the embedded backend cannot take the probe');
  return values;
}

function largestDifference(values: Float64Array, reference: Float64Array): number {
  if (values.length !== reference.length) return NaN;
  const [largest = NaN] = reference;
  return (
    reference.reduce((most, value, i) => Math.max(most, Math.abs(value - (values[i] ?? NaN))), 0) / largest
  );
}

function rememberedIn(kind: DeviceKind, { folder, settings, version }: ProbeOptions): string | undefined {
  if (folder === undefined) return undefined;
  const about = [kind, version, process.platform, process.arch, process.versions.modules, settings];
  const name = createHash('sha256').update(JSON.stringify(about)).digest('hex').slice(0, 16);
  return path.join(folder, `${kind}-${name}.json`);
}

async function recall(file: string): Promise<Probed | undefined> {
  try {
    // Written by `remember`; anything else is looked at again.
    const { at, found } = JSON.parse(await readFile(file, 'utf8')) as { at: number; found: Probed };
    const age = Date.now() - at;
    const isKnown = typeof found.usable === 'boolean' && age >= 0;
    return isKnown && age < (found.usable ? BELIEVED_MS : DISBELIEVED_MS) ? found : undefined;
  } catch {
    return undefined;
  }
}

/** Failing to only costs another look. */
async function remember(file: string, found: Probed): Promise<void> {
  try {
    await ensureFolder(path.dirname(file));
    const temporary = `${file}.${process.pid}.partial`;
    await writeFile(temporary, JSON.stringify({ at: Date.now(), found }));
    await rename(temporary, file);
  } catch {
    // Nothing depends on it.
  }
}

/** What was remembered turned out wrong: the next one looks again. */
export async function forget(kind: DeviceKind, options: ProbeOptions): Promise<void> {
  const file = rememberedIn(kind, options);
  if (file !== undefined) await remember(file, { usable: false, reason: 'it failed the last time' });
}
