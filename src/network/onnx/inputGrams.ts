import type { Tensor } from 'onnxruntime-common';
import { printable } from '../../checkpoint/errors';
import type { ComputeBackend, OnFraction } from '../../compute';
import type { LayerGram } from '../network';
import { floatValues, run } from './activations';
import type { Batches } from './batches';
import type { GraphIndex } from './graph';
import { inputRows } from './inputRows';
import type { FoundLayer } from './layers';
import type { ModelFile } from './modelFile';
import type { NetworkInput } from './networkInput';
import type { ValueType } from './protobuf';
import type { OnnxRuntime } from './runtime';
import { sliceGraph, writeSlice } from './slice';

export interface GramNetwork {
  readonly graph: GraphIndex;
  readonly file: ModelFile;
  readonly runtime: OnnxRuntime;
  readonly input: NetworkInput;
  readonly inputType: ValueType;
  readonly backend: ComputeBackend;
}

interface Running {
  readonly layer: number;
  readonly name: string;
  readonly found: FoundLayer;
  /** One n × n sum for each group. */
  readonly grams: Float64Array[];
  vectors: number;
}

/**
 * Σ x·xᵀ of the inputs of some layers, by running the original network over the data once. Batches go one after the
 * other; within a batch, layers are worked on side by side, as many as the backend takes.
 *
 * @throws Error naming the layer whose inputs are not numbers.
 */
export async function sumInputGrams(
  network: GramNetwork,
  wanted: readonly { readonly layer: number; readonly name: string; readonly found: FoundLayer }[],
  batches: Batches,
  onGram: (gram: LayerGram) => Promise<void>,
  signal: AbortSignal,
  onFraction?: OnFraction,
): Promise<void> {
  const { graph, file, runtime, input, inputType, backend } = network;
  const inputs = new Set(wanted.flatMap(({ found }) => found.uses.map((use) => use.input)));
  const outputs = [...inputs].filter((name) => name !== input.name);
  const slice = sliceGraph(graph, { from: 0, outputs, replaced: new Map() });
  const session =
    outputs.length === 0
      ? undefined
      : await runtime.load(await file.assemble(writeSlice(graph, slice, () => inputType)));
  const running = wanted.map(({ found, ...rest }): Running => {
    const grams = Array.from({ length: found.groups }, () => new Float64Array(found.n * found.n));
    return { ...rest, found, grams, vectors: 0 };
  });
  try {
    for (let batch = 0; batch < batches.count; batch++) {
      const fed = await batches.read(batch);
      const computed = session === undefined ? {} : await run(session, { [input.name]: fed }, signal);
      const activations = new Map([...Object.entries(computed), [input.name, fed] as const]);
      const share = batches.valid(batch) / (fed.dims[0] ?? 1);
      const pending = [...running];
      const work = async (): Promise<void> => {
        for (let next = pending.shift(); next !== undefined; next = pending.shift())
          await addBatch(backend, next, activations, share, signal);
      };
      const workers = Array.from({ length: Math.max(1, backend.concurrency) }, work);
      // All of them, so that none still uses the activations when the first failure is told.
      const ends = await Promise.allSettled(workers);
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
      onFraction?.((batch + 1) / batches.count);
    }
  } finally {
    await session?.release();
  }
  for (const { layer, found, grams, vectors } of running) {
    signal.throwIfAborted();
    await onGram({ layer, gram: inARow(grams, found.n), vectors });
  }
}

async function addBatch(
  backend: ComputeBackend,
  running: Running,
  activations: ReadonlyMap<string, Tensor>,
  share: number,
  signal: AbortSignal,
): Promise<void> {
  const { found, grams, name } = running;
  const { n } = found;
  for (const use of found.uses) {
    const tensor = activations.get(use.input);
    const data = tensor === undefined ? undefined : floatValues(tensor);
    if (tensor === undefined || data === undefined)
      throw new Error(`layer "${printable(name)}": the network did not give its input`);
    for (const { group, rows } of inputRows(use.vectors, { data, dims: tensor.dims }, n, share)) {
      signal.throwIfAborted();
      const gram = grams[group] ?? new Float64Array(n * n);
      if (group === 0) running.vectors += rows.length / n;
      grams[group] = await backend.accumulateGram({ gram, n, rows }, signal);
    }
  }
  for (const gram of grams)
    for (let i = 0; i < n; i++) if (!Number.isFinite(gram[i * n + i])) throw notFinite(name);
}

function notFinite(name: string): Error {
  return new Error(
    `layer "${printable(name)}": its inputs are not all finite numbers (NaN or infinite): check the data for such values and that "scale", "mean" and "std" of the recipe are those the network was trained with`,
  );
}

/** Groups one after the other. */
function inARow(grams: readonly Float64Array[], n: number): Float64Array {
  const [only] = grams;
  if (only !== undefined && grams.length === 1) return only;
  const all = new Float64Array(grams.length * n * n);
  grams.forEach((gram, group) => {
    all.set(gram, group * n * n);
  });
  return all;
}
