import { elementCount } from '../../checkpoint/checkpoint';
import { printable } from '../../checkpoint/errors';
import type { NetworkData } from '../data/dataset';
import type { GraphIndex } from './graph';
import { countVectors } from './inputRows';
import type { FoundLayer } from './layers';
import type { ModelFile } from './modelFile';
import { type NetworkInput, sampleShape } from './networkInput';
import { type Observation, observe } from './observation';
import type { ValueType } from './protobuf';
import type { OnnxRuntime } from './runtime';

/** Multiply-adds of one run, so that it ends well within a second and the next can be cancelled. */
const MULTIPLY_ADDS_PER_RUN: Readonly<Record<OnnxRuntime['kind'], number>> = { native: 6e9, wasm: 1.5e9 };
/** The data as the network takes it, and what the network computes on its first samples. */
export interface Sight {
  readonly observation: Observation;
  readonly input: NetworkInput;
  readonly inputType: ValueType;
  /** Sizes of one sample. */
  readonly shape: readonly number[];
  readonly perRun: number;
}

/**
 * Runs the network on its first samples; undefined when there is no data and the model does not tell its sizes.
 *
 * @throws Error that says which data the network wants, or why it does not run.
 */
export async function look(
  file: ModelFile,
  graph: GraphIndex,
  runtime: OnnxRuntime,
  input: NetworkInput,
  found: readonly FoundLayer[],
  data: NetworkData | undefined,
  signal: AbortSignal,
): Promise<Sight | undefined> {
  const first = await firstSamples(input, data);
  if (first === undefined) return undefined;
  const { shape, samples } = first;
  const needed = found.flatMap(({ uses }) => uses.map((use) => use.input));
  const request = { graph, file, runtime, input, shape, samples, needed };
  const observation = await observe(request, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `${printable(file.model.path)}: the network does not run on samples of ${shape.join(' × ')} (${reason})`,
      { cause: error },
    );
  });
  const fixedBatch = observation.oneAtATime ? 1 : input.fixedBatch;
  const taken = { ...input, fixedBatch };
  const perSample = found.reduce((sum, layer) => sum + multiplyAdds(layer, observation), 0);
  const most = Math.max(1, Math.floor(MULTIPLY_ADDS_PER_RUN[runtime.kind] / Math.max(1, perSample)));
  const perRun = fixedBatch ?? Math.min(data?.batchSize ?? 1, most);
  const inputType = { elementType: input.elementType, shape: [fixedBatch, ...shape] };
  return { observation, input: taken, inputType, shape, perRun };
}

/** Samples to look at: of the validation data, or zeros when there is none and the sizes are known. */
async function firstSamples(
  input: NetworkInput,
  data: NetworkData | undefined,
): Promise<{ readonly shape: readonly number[]; readonly samples: Float32Array } | undefined> {
  if (data === undefined) {
    const shape = input.sample?.filter((size) => typeof size === 'number');
    if (shape === undefined || shape.length !== input.sample?.length) return undefined;
    return { shape, samples: new Float32Array(elementCount(shape) * (input.fixedBatch ?? 1)) };
  }
  const shape = sampleShape(input, data.validation, 'validation');
  const ofGram = sampleShape(input, data.gram, 'gram');
  if (String(ofGram) !== String(shape))
    throw new Error(
      `samples of data.gram are ${ofGram.join(' × ')}, those of data.validation ${shape.join(' × ')}: they have to be of one size`,
    );
  for (const [what, { samples }] of Object.entries({ validation: data.validation, gram: data.gram }))
    if (samples < 1) throw new Error(`data.${what} has no samples: check "from" and "to" in the recipe`);
  const wanted = input.fixedBatch ?? 2;
  const given = await data.validation.read(0, Math.min(wanted, data.validation.samples));
  if (input.fixedBatch === undefined || given.length === wanted * elementCount(shape))
    return { shape, samples: given };
  // Fewer samples than the network's fixed batch: the rest stays zero.
  const samples = new Float32Array(wanted * elementCount(shape));
  samples.set(given);
  return { shape, samples };
}

/** Input vectors of one sample. */
export function positionsOf({ uses }: FoundLayer, { values, samples }: Observation): number {
  return uses.reduce((sum, { input, vectors }) => {
    const dims = values.get(input)?.dims;
    return sum + (dims === undefined ? 0 : countVectors(vectors, dims) / samples);
  }, 0);
}

function multiplyAdds(found: FoundLayer, observation: Observation): number {
  return positionsOf(found, observation) * found.groups * found.m * found.n;
}
