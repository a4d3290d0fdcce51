/** How much of each layer is used at a moment of training: label-free, as subspaces of a fixed share of energy. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { ComputeBackend } from '../compute/backend';
import type { Architecture, BuiltinLayer, Tf } from '../network/builtin/architecture';
import { GramSums } from '../network/tfjs/gramSums';
import { patchRows } from '../network/tfjs/patches';
import { eigenbasis, isFiniteGram, LayerProjections, mean, type Compute } from '../utilization';
import type { LayerUse } from './run/run';
import type { Run } from './tasks/task';

/** Share of the spectral energy of inputs and outputs that is kept, as measurements without labels have it. */
const ENERGY = 0.99;

/** Longest side that is looked at while training goes on: an eigenproblem of it takes about a second. */
export const LONGEST_SIDE = 1024;

/** Layers looked at; more than a chart can show gain nothing. */
const MOST_LAYERS = 64;

/** Multiply-adds of all Gram sums: some seconds on one core. */
const WORK = 5e9;

/** Samples are at least this many, whatever they cost, and no more than a batch. */
const [FEWEST_SAMPLES, MOST_SAMPLES] = [4, 256];

export interface UseRequest {
  readonly tf: Tf;
  readonly architecture: Architecture;
  /** The network, looked at on its way. */
  readonly observed: (onInput: (layer: number, input: Tensor) => void) => Run;
  /** W of a layer, as PyTorch shapes it, whatever its form: groups × m × n. */
  readonly weight: (layer: number) => Promise<Float32Array>;
  /** A batch of inputs. */
  readonly inputs: Tensor;
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
}

/** Layers that are looked at: those that can be, spread evenly over the network when they are many. */
export function layersLookedAt({ layers }: Architecture): readonly number[] {
  const possible = layers.flatMap(({ shape, groups }, index) =>
    groups === 1 && Math.max(...shape) <= LONGEST_SIDE && Math.min(...shape) > 1 ? [index] : [],
  );
  if (possible.length <= MOST_LAYERS) return possible;
  const every = possible.length / MOST_LAYERS;
  return Array.from({ length: MOST_LAYERS }, (_, i) => possible[Math.floor(i * every)] ?? 0);
}

/** Samples that a look takes, by the work that they are. */
export function samplesLookedAt(architecture: Architecture): number {
  const work = layersLookedAt(architecture).reduce((sum, index) => {
    const { positions = 0, shape = [0, 0] } = architecture.layers[index] ?? {};
    return sum + positions * shape[1] ** 2;
  }, 0);
  return Math.round(Math.min(MOST_SAMPLES, Math.max(FEWEST_SAMPLES, WORK / Math.max(1, work))));
}

/**
 * Utilized ranks (r_0.9999 of P_T·W·P_S) of a network's layers, and their ranks, over a batch of inputs.
 *
 * @throws the signal's reason
 */
export async function layerUse(request: UseRequest): Promise<readonly LayerUse[]> {
  const { architecture, backend, signal } = request;
  const looked = layersLookedAt(architecture);
  const sums = new GramSums(backend, signal);
  try {
    await addInputs(request, looked, sums);
    const found: LayerUse[] = [];
    for (const index of looked) {
      const layer = architecture.layers[index];
      const sum = await sums.take(index, layer?.shape[1] ?? 0);
      if (layer === undefined || sum === undefined || !isFiniteGram(sum.gram, layer.shape[1])) continue;
      found.push(await useOf(layer, sum.gram, await request.weight(index), { backend, signal }));
    }
    return found;
  } finally {
    await sums.settle();
  }
}

async function useOf(
  { name, kind, shape, groups, positions, weightShape }: BuiltinLayer,
  gram: Float64Array,
  weight: Float32Array,
  compute: Compute,
): Promise<LayerUse> {
  const [m, n] = shape;
  const parameters = weightShape.reduce((product, size) => product * size, 1);
  const facts = { name, kind, shape, groups, parameters, bias: 0, positions };
  const inputs = [await eigenbasis(gram, n, compute)];
  const projections = await LayerProjections.of(facts, Float64Array.from(weight), inputs, compute);
  const [kS, kT] = [projections.dimensionFor('input', ENERGY), projections.dimensionFor('output', ENERGY)];
  const { utilizedRanks } = await projections.facts(kS, kT);
  return { name, maxRank: Math.min(m, n), rank: projections.rank, utilizedRank: mean(utilizedRanks) };
}

async function addInputs(
  { tf, architecture, observed, inputs, signal }: UseRequest,
  looked: readonly number[],
  sums: GramSums,
): Promise<void> {
  const kept: (readonly [number, Tensor])[] = [];
  const wanted = new Set(looked);
  try {
    tf.tidy(() => {
      observed((layer, input) => {
        if (wanted.has(layer)) kept.push([layer, tf.keep(tf.clone(input))]);
      })(inputs);
    });
    for (const [index, input] of kept) {
      signal.throwIfAborted();
      const { shape, geometry } = architecture.layers[index] ?? { shape: [0, 0] as const };
      const values = Float32Array.from(await input.data());
      if (geometry === undefined) await sums.add(index, shape[1], values);
      else for (const rows of patchRows(values, input.shape, geometry)) await sums.add(index, shape[1], rows);
    }
  } finally {
    for (const [, tensor] of kept) tensor.dispose();
  }
}
