/** Which backend computes: what was asked for, or the fastest there is. */
import type { ComputeBackend } from './backend';
import type { DeviceFacts, DeviceKind, DeviceSettings } from './device/device';
import { DeviceBackend } from './device/deviceBackend';
import {
  forget,
  PATIENT_LIMIT_MS,
  probe,
  PROBE_LIMIT_MS,
  type Probed,
  type ProbeOptions,
} from './device/probe';
import { DeviceLost, DeviceProcess, type DeviceProgram } from './device/process';
import { secondsOf, spectrumWork } from './device/speed';
import { createWasmBackend, type WasmBackend } from './wasm/backend';

/** Devices, in the order in which they are looked for. */
const DEVICES: readonly DeviceKind[] = ['tensorflow', 'webgpu'];

export const BACKEND_NAMES: readonly string[] = ['wasm', ...DEVICES];

/** The size by which devices are held against one another: a layer of a large language model. */
const TYPICAL = { rows: 4096, columns: 4096 };

export interface BackendOptions {
  /** One of `BACKEND_NAMES`; undefined or `auto` for the fastest there is. */
  readonly name?: string | undefined;
  /** Threads of the embedded backend; undefined for its own choice. */
  readonly threads?: number | undefined;
  readonly settings?: DeviceSettings | undefined;
  /** Folder in which what is known of devices is remembered. */
  readonly folder?: string | undefined;
  readonly version: string;
  /** What runs as a device's process, where it is another one than is built for it. */
  readonly program?: DeviceProgram | undefined;
  readonly signal: AbortSignal;
  /** In one line: what was asked for cannot be used, or stopped working. */
  readonly onNotice: (notice: string) => void;
}

export interface ChosenBackend {
  readonly backend: ComputeBackend;
  /** Why this one, in one line. */
  readonly why: string;
}

/** What is known of one backend. */
export interface BackendReport {
  readonly name: string;
  readonly usable: boolean;
  /** Adapter, runtime and speed; or the reason why not. */
  readonly about: string;
}

/**
 * Opens a backend. One that is not there is told and replaced by the embedded one, so that every job ends.
 *
 * @throws Error in one line for a name that is not known
 * @throws the signal's reason
 */
export async function openBackend(options: BackendOptions): Promise<ChosenBackend> {
  const { name = 'auto', threads } = options;
  const wasm = createWasmBackend(threads);
  try {
    if (name === 'wasm') return { backend: wasm, why: 'it was asked for' };
    if (name === 'auto') return await fastest(wasm, options);
    const kind = DEVICES.find((device) => device === name);
    if (kind === undefined)
      throw new Error(`unknown backend "${name}": choose ${BACKEND_NAMES.join(', ')} or auto`);
    return await asked(kind, wasm, options);
  } catch (error) {
    await wasm.dispose();
    throw error;
  }
}

/** All backends, for people who choose one. */
export async function reportBackends(
  options: Omit<BackendOptions, 'onNotice' | 'name'> & { readonly again?: boolean },
): Promise<readonly BackendReport[]> {
  const wasm = createWasmBackend(options.threads);
  try {
    const reports: BackendReport[] = [];
    for (const kind of DEVICES) {
      const found = await probe(kind, probing(wasm, PATIENT_LIMIT_MS, options));
      reports.push({ name: kind, usable: found.usable, about: found.usable ? inWords(found) : found.reason });
    }
    const about = `${wasm.build}, ${wasm.concurrency} threads; always there`;
    return [{ name: wasm.name, usable: true, about }, ...reports];
  } finally {
    await wasm.dispose();
  }
}

function probing(
  wasm: WasmBackend,
  limitMs: number,
  { settings = {}, ...options }: Omit<BackendOptions, 'onNotice' | 'name'> & { readonly again?: boolean },
): ProbeOptions {
  return { ...options, settings, wasm, limitMs };
}

async function asked(kind: DeviceKind, wasm: WasmBackend, options: BackendOptions): Promise<ChosenBackend> {
  const found = await probe(kind, probing(wasm, PATIENT_LIMIT_MS, options));
  const chosen = found.usable ? await open(kind, found, wasm, true, options) : { reason: found.reason };
  if ('backend' in chosen) {
    // TensorFlow without its CUDA libraries, a driver that plays the card: right, but not what was meant.
    if (found.usable && found.facts.isSoftware) options.onNotice(noCard(found.facts));
    return chosen;
  }
  const why = `${kind} cannot be used: ${chosen.reason}`;
  options.onNotice(`${why}; the processor computes instead`);
  return { backend: wasm, why };
}

async function fastest(wasm: WasmBackend, options: BackendOptions): Promise<ChosenBackend> {
  const work = spectrumWork(TYPICAL);
  const reasons: string[] = [];
  let best: { readonly kind: DeviceKind; readonly found: Extract<Probed, { usable: true }> } | undefined;
  for (const kind of DEVICES) {
    const found = await probe(kind, probing(wasm, PROBE_LIMIT_MS, options));
    if (!found.usable) reasons.push(`${kind}: ${found.reason}`);
    else if (found.facts.isSoftware) reasons.push(`${kind}: ${found.facts.adapter} is no graphics card`);
    else if (secondsOf(found.speed, work) > secondsOf(found.processorSpeed, work) / wasm.concurrency)
      reasons.push(`${kind}: ${found.facts.adapter} is slower than the processor`);
    else if (best === undefined || secondsOf(found.speed, work) < secondsOf(best.found.speed, work))
      best = { kind, found };
  }
  if (best === undefined) return { backend: wasm, why: `no faster one: ${reasons.join('; ')}` };
  const chosen = await open(best.kind, best.found, wasm, false, options);
  if ('backend' in chosen) return chosen;
  const why = `${best.kind} cannot be used any more: ${chosen.reason}`;
  options.onNotice(`${why}; the processor computes instead`);
  return { backend: wasm, why };
}

async function open(
  kind: DeviceKind,
  { facts, takesFloat64, speed, processorSpeed }: Extract<Probed, { usable: true }>,
  wasm: WasmBackend,
  always: boolean,
  options: BackendOptions,
): Promise<ChosenBackend | { readonly reason: string }> {
  const { settings = {}, signal, onNotice, program } = options;
  try {
    const { process } = await DeviceProcess.open(kind, settings, {
      signal,
      limitMs: PATIENT_LIMIT_MS,
      program,
    });
    const about = { facts, takesFloat64, process, speed, processorSpeed, always, onNotice };
    const why = always
      ? 'it was asked for'
      : 'the fastest measured here for large layers; small ones stay with the processor';
    return { backend: new DeviceBackend(wasm, about), why: `${facts.adapter}: ${why}` };
  } catch (error) {
    if (!(error instanceof DeviceLost)) throw error;
    await forget(kind, probing(wasm, PROBE_LIMIT_MS, options));
    return { reason: error.message };
  }
}

function noCard({ kind, adapter, runtime }: DeviceFacts): string {
  return `${kind} computes on ${adapter} (${runtime}), which is no graphics card`;
}

function inWords({ facts, speed, processorSpeed }: Extract<Probed, { usable: true }>): string {
  const work = spectrumWork(TYPICAL);
  const ratio = secondsOf(processorSpeed, work) / secondsOf(speed, work);
  const times =
    ratio >= 1 ? `${ratio.toFixed(1)} × one thread` : `${(1 / ratio).toFixed(1)} × slower than one thread`;
  const software = facts.isSoftware ? '; a processor plays the graphics card' : '';
  return `${facts.adapter}, ${facts.runtime}: ${times} of the processor on a 4096 × 4096 layer, by estimate${software}`;
}
