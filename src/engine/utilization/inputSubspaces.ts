import { printable } from '../../checkpoint/errors';
import type { NetworkLayer, RunnableNetwork } from '../../network/network';
import { eigenbasis, isFiniteGram, type Compute, type Eigenbasis } from '../../utilization';
import { gramPasses, sumGrams } from './gramPasses';
import { InFlight } from './inFlight';
import type { MeasuredLayer } from './measuredLayers';
import type { SearchState } from './searchState';

/**
 * Sees to it that the state holds the input subspaces of all layers: those not known from an earlier run are taken from
 * the Gram data, in as many passes as memory asks for.
 *
 * @param concurrency eigenproblems solved at once
 * @throws Error naming the first layer whose inputs are not finite
 */
export async function gatherInputSubspaces(
  network: RunnableNetwork,
  layers: readonly MeasuredLayer[],
  state: SearchState,
  compute: Compute,
  concurrency: number,
  onFraction: (fraction: number) => void,
): Promise<void> {
  const missing: MeasuredLayer[] = [];
  for (const entry of layers) if (!(await state.hasInputs(entry.layer.name))) missing.push(entry);
  const passes = gramPasses(missing);
  for (const [i, pass] of passes.entries())
    await onePass(network, pass, state, compute, concurrency, (fraction) => {
      onFraction((i + fraction) / passes.length);
    });
}

/** The input subspaces of one layer; should they have been cleared away meanwhile, from another pass. */
export async function inputSubspacesOf(
  network: RunnableNetwork,
  entry: MeasuredLayer,
  state: SearchState,
  compute: Compute,
): Promise<readonly Eigenbasis[]> {
  const known = await state.inputs(entry.layer.name);
  if (known?.length === entry.layer.groups) return known;
  let found: readonly Eigenbasis[] = [];
  await sumGrams(
    network,
    [entry],
    async ({ layer }, gram) => {
      if (!isFiniteGram(gram, layer.shape[1])) throw notFiniteError(layer);
      found = await basesOf(gram, layer, compute);
    },
    compute.signal,
  );
  return found;
}

async function onePass(
  network: RunnableNetwork,
  layers: readonly MeasuredLayer[],
  state: SearchState,
  compute: Compute,
  concurrency: number,
  onFraction: (fraction: number) => void,
): Promise<void> {
  const inFlight = new InFlight(concurrency);
  const notFinite = new Set<number>();
  await sumGrams(
    network,
    layers,
    async ({ index, layer }, gram) => {
      if (!isFiniteGram(gram, layer.shape[1])) {
        notFinite.add(index);
        return;
      }
      await inFlight.start(async () => {
        await state.keepInputs(layer.name, await basesOf(gram, layer, compute));
      });
    },
    compute.signal,
    onFraction,
  );
  await inFlight.done();
  // What is not a number spreads: the layer to look at is the first in the network's order.
  const first = layers.find(({ index }) => notFinite.has(index));
  if (first !== undefined) throw notFiniteError(first.layer);
}

async function basesOf(gram: Float64Array, { shape: [, n], groups }: NetworkLayer, compute: Compute) {
  const bases: Eigenbasis[] = [];
  for (let g = 0; g < groups; g++)
    bases.push(await eigenbasis(gram.slice(g * n * n, (g + 1) * n * n), n, compute));
  return bases;
}

function notFiniteError({ name }: NetworkLayer): Error {
  return new Error(
    `the inputs of layer ${printable(name)} hold NaN or infinite values: check the scale, mean and std of the data, and whether the weights before it are finite (rankscope audit)`,
  );
}
