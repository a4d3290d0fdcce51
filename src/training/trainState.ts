/** All that a run goes on from, in one safetensors file: written beside and renamed, so that there is always a whole one. */
import { openCheckpoint } from '../checkpoint/open';
import type { Checkpoint } from '../checkpoint/checkpoint';
import { CheckpointError } from '../checkpoint/errors';
import { withFile } from '../checkpoint/file';
import { decodeElements } from '../checkpoint/elements';
import { readTensorBytes } from '../checkpoint/tensorData';
import { writeSafetensors, type TensorToWrite } from '../checkpoint/write/safetensors';

const KEY = 'rankscope.training';
const SCHEMA = 'rankscope/training-state@1';

const PARAMETER = 'parameter.';
const AVERAGE = 'average.';
const SLOT = 'optimizer.';

/** Where a run is. The random choices of a step depend on the seed and the step alone: no generator has a state. */
export interface TrainPosition {
  /** Steps made. */
  readonly step: number;
  /** Seconds of training. */
  readonly seconds: number;
  readonly best?: { readonly value: number; readonly step: number };
  /** Loss of the first interval: what divergence is measured by. */
  readonly firstLoss?: number;
}

/** What a state belongs to: it is of no use to another network, other data or another optimiser. */
export interface StateIdentity {
  readonly network: string;
  readonly data: string;
  readonly optimizer: string;
  readonly seed: number;
  readonly batchSize: number;
}

export interface TrainState {
  readonly position: TrainPosition;
  readonly identity: StateIdentity;
  /** Backend that computed it: another one goes on, but not bit for bit. */
  readonly backend: string;
  readonly parameters: ReadonlyMap<string, Float32Array>;
  readonly averages: ReadonlyMap<string, Float32Array>;
  readonly slots: ReadonlyMap<string, Float32Array>;
}

type Shapes = ReadonlyMap<string, readonly number[]>;

/** @param shapes of parameters, by name. @throws CheckpointError `io`; then the file is as it was */
export async function writeTrainState(file: string, state: TrainState, shapes: Shapes): Promise<void> {
  const { position, identity, backend, parameters, averages, slots } = state;
  const tensors = [
    ...arrays(parameters, PARAMETER, shapes),
    ...arrays(averages, AVERAGE, shapes),
    ...arrays(slots, SLOT, shapes),
  ];
  const about = JSON.stringify({ schema: SCHEMA, position, identity, backend });
  await writeSafetensors(file, tensors, new Map([[KEY, about]]));
}

function arrays(values: ReadonlyMap<string, Float32Array>, prefix: string, shapes: Shapes): TensorToWrite[] {
  return [...values].map(([name, value]) => {
    // Slots are named "m.<parameter>"; every array has its parameter's shape.
    const shape = shapes.get(name) ?? shapes.get(name.slice(name.indexOf('.') + 1)) ?? [value.length];
    const data = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return { name: `${prefix}${name}`, dtype: 'float32', shape, data };
  });
}

/**
 * A state for a network, data and optimiser.
 *
 * @throws CheckpointError when the file is broken, or belongs to something else
 */
export async function readTrainState(
  file: string,
  identity: StateIdentity,
  signal: AbortSignal,
): Promise<TrainState> {
  const checkpoint = await openCheckpoint(file, signal);
  const about = await aboutOf(file);
  for (const [what, mine] of Object.entries(identity)) {
    const theirs = about.identity[what as keyof StateIdentity];
    if (theirs !== mine)
      throw new CheckpointError(
        'unsupported',
        `was made with another ${what === 'batchSize' ? 'batch size' : what}: the recipe or its data changed since; start a new run`,
        { file },
      );
  }
  const named = await floats(checkpoint, signal);
  return {
    ...about,
    parameters: under(named, PARAMETER),
    averages: under(named, AVERAGE),
    slots: under(named, SLOT),
  };
}

async function floats(checkpoint: Checkpoint, signal: AbortSignal): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const tensor of checkpoint.tensors) {
    signal.throwIfAborted();
    const elements = decodeElements(await readTensorBytes(tensor), tensor.dtype);
    values.set(tensor.name, elements instanceof Float32Array ? elements : Float32Array.from(elements));
  }
  return values;
}

function under(values: ReadonlyMap<string, Float32Array>, prefix: string): Map<string, Float32Array> {
  return new Map(
    [...values].flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value] as const] : [],
    ),
  );
}

interface About {
  readonly position: TrainPosition;
  readonly identity: StateIdentity;
  readonly backend: string;
}

/** Largest header that is looked at: names of a hundred thousand arrays. */
const MAX_HEADER_BYTES = 64 * 1024 * 1024;

/** From the header's metadata: the checkpoint has been opened, so the header is sound. */
async function aboutOf(file: string): Promise<About> {
  const text = await withFile(file, async (opened) => {
    const [length = 0] = new BigUint64Array((await opened.read(0, 8)).slice().buffer);
    if (length > MAX_HEADER_BYTES) return '';
    return Buffer.from(await opened.read(8, Number(length))).toString('utf8');
  });
  const wrong = new CheckpointError('unsupported', 'is no state of a training run', { file });
  const about = parsed(metadataOf(parsed(text)));
  if (!isAbout(about)) throw wrong;
  return about;
}

function metadataOf(header: unknown): string {
  if (typeof header !== 'object' || header === null || !('__metadata__' in header)) return '';
  const { __metadata__: metadata } = header;
  if (typeof metadata !== 'object' || metadata === null || !(KEY in metadata)) return '';
  const value = metadata[KEY];
  return typeof value === 'string' ? value : '';
}

function isAbout(value: unknown): value is About {
  if (typeof value !== 'object' || value === null) return false;
  const { schema, position, identity } = value as Record<string, unknown>;
  if (schema !== SCHEMA || typeof identity !== 'object' || identity === null) return false;
  if (typeof position !== 'object' || position === null) return false;
  const { step, seconds } = position as Record<string, unknown>;
  return Number.isSafeInteger(step) && typeof seconds === 'number';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
