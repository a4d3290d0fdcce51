/** Samples of a data set in any order, fast. */
import type { Dataset } from '../../network/data/dataset';
import { Pauses } from '../../network/data/pauses';
import { ValueTables } from './valueTables';

/** Samples kept in memory at once: CIFAR-10 takes 150 MB as bytes. What is larger is read from its file, batch by batch. */
export const MAX_HELD_BYTES = 2 ** 30;

/** Values read at once: some 10 ms of work. */
const CHUNK_VALUES = 2 ** 19;
/** Pictures are decoded one after the other, some 0.5 ms each. */
const CHUNK_SAMPLES = 32;

export interface HeldSamples {
  /** Samples one after the other. */
  gather(indices: ArrayLike<number>, signal: AbortSignal): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/**
 * Takes a data set over: it is closed when its samples are held, or with them. Values that are bytes by another name, no
 * more than 256 different ones a channel, are held as bytes, all others as float32; both give back what the data set gave.
 *
 * @param most bytes held
 * @throws CheckpointError, the signal's reason
 */
export async function holdSamples(
  dataset: Dataset,
  signal: AbortSignal,
  onFraction?: (fraction: number) => void,
  most = MAX_HELD_BYTES,
): Promise<HeldSamples> {
  const size = sizeOf(dataset);
  if (size * dataset.samples > most) return new FileSamples(dataset, size);
  try {
    const held = (await readBytes(dataset, signal, onFraction)) ?? (await readFloats(dataset, signal, most));
    if (held === undefined) return new FileSamples(dataset, size);
    await dataset.dispose();
    return held;
  } catch (error) {
    await dataset.dispose();
    throw error;
  }
}

function sizeOf({ shape }: Dataset): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** Calls `onChunk` with all values in turn; stops early when it says false. */
async function readAll(
  dataset: Dataset,
  signal: AbortSignal,
  onChunk: (values: Float32Array, start: number) => boolean,
  onFraction?: (fraction: number) => void,
): Promise<boolean> {
  const size = sizeOf(dataset);
  const step = Math.max(1, Math.min(CHUNK_SAMPLES, Math.floor(CHUNK_VALUES / size)));
  const pauses = new Pauses(signal);
  for (let from = 0; from < dataset.samples; from += step) {
    if (pauses.isDue) {
      await pauses.pause();
      onFraction?.(from / dataset.samples);
    }
    const values = await dataset.read(from, Math.min(dataset.samples, from + step));
    if (!onChunk(values, from * size)) return false;
  }
  return true;
}

/** Undefined when a channel has more values than a byte. */
async function readBytes(
  dataset: Dataset,
  signal: AbortSignal,
  onFraction?: (fraction: number) => void,
): Promise<HeldSamples | undefined> {
  const size = sizeOf(dataset);
  // Pictures are channels last; rows of numbers share one table.
  const tables = new ValueTables(dataset.shape.length === 3 ? (dataset.shape[2] ?? 1) : 1);
  const codes = new Uint8Array(size * dataset.samples);
  const fits = await readAll(
    dataset,
    signal,
    (values, start) => tables.encode(values, codes.subarray(start, start + values.length)),
    onFraction,
  );
  if (!fits) return undefined;
  return heldIn(size, (sample, target) => {
    tables.decode(codes.subarray(sample * size, (sample + 1) * size), target);
  });
}

async function readFloats(
  dataset: Dataset,
  signal: AbortSignal,
  most: number,
): Promise<HeldSamples | undefined> {
  const size = sizeOf(dataset);
  if (4 * size * dataset.samples > most) return undefined;
  const all = new Float32Array(size * dataset.samples);
  await readAll(dataset, signal, (values, start) => {
    all.set(values, start);
    return true;
  });
  return heldIn(size, (sample, target) => {
    target.set(all.subarray(sample * size, (sample + 1) * size));
  });
}

function heldIn(size: number, copy: (sample: number, target: Float32Array) => void): HeldSamples {
  return {
    gather: async (indices, signal) => {
      const result = new Float32Array(indices.length * size);
      const pauses = new Pauses(signal);
      for (let i = 0; i < indices.length; i++) {
        if (pauses.isDue) await pauses.pause();
        copy(indices[i] ?? 0, result.subarray(i * size, (i + 1) * size));
      }
      return result;
    },
    dispose: () => Promise.resolve(),
  };
}

/** Samples that stay in their file. */
class FileSamples implements HeldSamples {
  constructor(
    private readonly dataset: Dataset,
    private readonly size: number,
  ) {}

  /** In the order of the file, neighbours together. */
  async gather(indices: ArrayLike<number>, signal: AbortSignal): Promise<Float32Array> {
    const { size } = this;
    const result = new Float32Array(indices.length * size);
    const order = Array.from(indices, (sample, at) => ({ sample, at })).sort((a, b) => a.sample - b.sample);
    const pauses = new Pauses(signal);
    for (let start = 0; start < order.length;) {
      if (pauses.isDue) await pauses.pause();
      const end = endOfRow(order, start);
      const first = order[start]?.sample ?? 0;
      const values = await this.dataset.read(first, (order[end - 1]?.sample ?? first) + 1);
      for (const { sample, at } of order.slice(start, end))
        result.set(values.subarray((sample - first) * size, (sample - first + 1) * size), at * size);
      start = end;
    }
    return result;
  }

  dispose(): Promise<void> {
    return this.dataset.dispose();
  }
}

/** End of the samples from `start` on that follow one another (or are the same) in the file, up to a chunk. */
function endOfRow(order: readonly { readonly sample: number }[], start: number): number {
  let end = start + 1;
  while (end < order.length && end - start < CHUNK_SAMPLES) {
    if ((order[end]?.sample ?? 0) - (order[end - 1]?.sample ?? 0) > 1) break;
    end++;
  }
  return end;
}
