/** What a network computes on its first samples: sizes and types of every value, which the model rarely declares. */
import type { Tensor } from 'onnxruntime-common';
import { elementTypeOf, run } from './activations';
import type { GraphIndex } from './graph';
import type { ModelFile } from './modelFile';
import { type NetworkInput, inputTensor } from './networkInput';
import type { ValueType } from './protobuf';
import type { OnnxRuntime } from './runtime';
import { sliceGraph, writeSlice } from './slice';

export interface SeenValue {
  readonly type: ValueType;
  /** Sizes in a run of `Observation.samples` samples. */
  readonly dims: readonly number[];
  readonly bytesPerSample: number;
}

export interface Observation {
  /** Samples of the run. */
  readonly samples: number;
  readonly values: ReadonlyMap<string, SeenValue>;
  /** The network failed on two samples at once though it declares no fixed number. */
  readonly oneAtATime: boolean;
  /** Only the values asked for could be looked at. */
  readonly isPartial: boolean;
}

export interface ObservationRequest {
  readonly graph: GraphIndex;
  readonly file: ModelFile;
  readonly runtime: OnnxRuntime;
  readonly input: NetworkInput;
  /** Sizes of one sample. */
  readonly shape: readonly number[];
  /** The first samples: one, two or a whole fixed batch, one after the other. */
  readonly samples: Float32Array;
  /** Values that have to be seen. */
  readonly needed: readonly string[];
}

/**
 * Runs the first samples with every value made an output.
 *
 * @throws Error with ONNX Runtime's reason when the network does not run on them.
 */
export async function observe(request: ObservationRequest, signal: AbortSignal): Promise<Observation> {
  const all = request.graph.observable();
  try {
    return { ...(await observeValues(request, all, signal)), isPartial: false };
  } catch (error) {
    signal.throwIfAborted();
    // Some value cannot be an output (an optional, a sequence in a loop): the needed ones are tensors.
    const wanted = new Set([...request.needed, ...request.graph.outputs.map(({ name }) => name)]);
    if (wanted.size === all.length) throw error;
    return { ...(await observeValues(request, [...wanted], signal)), isPartial: true };
  }
}

async function observeValues(
  { graph, file, runtime, input, shape, samples }: ObservationRequest,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Omit<Observation, 'isPartial'>> {
  const outputs = names.filter((name) => name !== input.name);
  const slice = sliceGraph(graph, { from: 0, outputs, replaced: new Map() });
  const typeOf = (): ValueType => ({
    elementType: input.elementType,
    shape: [input.fixedBatch, ...shape],
  });
  const session = await runtime.load(await file.assemble(writeSlice(graph, slice, typeOf)));
  const perSample = shape.reduce((a, b) => a * b, 1);
  const count = samples.length / perSample;
  const runOn = async (n: number): Promise<ReadonlyMap<string, Tensor>> => {
    const fed = inputTensor(runtime.Tensor, input, samples.slice(0, n * perSample), [n, ...shape]);
    return new Map([[input.name, fed], ...Object.entries(await run(session, { [input.name]: fed }, signal))]);
  };
  try {
    if (input.fixedBatch !== undefined || count < 2)
      return { samples: count, values: seen(await runOn(count), count), oneAtATime: false };
    const one = await runOn(1);
    try {
      return { samples: 2, values: seen(await runOn(2), 2, one), oneAtATime: false };
    } catch {
      signal.throwIfAborted();
      return { samples: 1, values: seen(one, 1), oneAtATime: true };
    }
  } finally {
    await session.release();
  }
}

/** @param fewer the same values of a run with fewer samples: sizes that differ depend on their number. */
function seen(
  tensors: ReadonlyMap<string, Tensor>,
  samples: number,
  fewer?: ReadonlyMap<string, Tensor>,
): ReadonlyMap<string, SeenValue> {
  const values = new Map<string, SeenValue>();
  for (const [name, tensor] of tensors) {
    const elementType = elementTypeOf(tensor);
    if (elementType === undefined) continue;
    const { dims, data } = tensor;
    const other = fewer?.get(name)?.dims;
    const shape = dims.map((size, axis) =>
      fewer === undefined || other?.[axis] === size ? size : undefined,
    );
    // A text has no size of its own here; 64 bytes are more than a label.
    const bytes = Array.isArray(data) ? data.length * 64 : data.byteLength;
    values.set(name, { type: { elementType, shape }, dims: [...dims], bytesPerSample: bytes / samples });
  }
  return values;
}
