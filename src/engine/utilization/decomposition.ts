import type { Checkpoint, Tensor } from '../../checkpoint/checkpoint';
import { printable } from '../../checkpoint/errors';
import { countOf } from '../../checkpoint/wording';
import type { RunnableNetwork } from '../../network/network';
import type { Compute } from '../../utilization';
import type { SearchMode } from '../utilizationDocument';
import { weightInCheckpoint, writeDecomposed, type DecomposedFiles } from './decomposedCheckpoint';
import { productOf, type SplitLayer } from './splitLayers';

export interface Decomposition {
  /** Metric of the network as it is written, when there are labels. */
  readonly after?: number;
  readonly files?: DecomposedFiles;
  readonly notes: readonly string[];
}

const INDEPENDENT_WARNING =
  'the decomposed checkpoint comes from an independent search, whose projections were never tried together: compare the value after decomposition before using it';

/**
 * Runs a network with layers as two, all others as they were, and writes it like that.
 *
 * @param splits layers that take less as two
 * @param ranks utilized rank of every measured layer, by name
 * @param evaluate the metric with what is committed
 * @throws Error when none of the layers is in the checkpoint
 */
export async function decompose(
  target: string,
  network: RunnableNetwork,
  checkpoint: Checkpoint | undefined,
  splits: readonly SplitLayer[],
  ranks: ReadonlyMap<string, number>,
  mode: SearchMode,
  evaluate: () => Promise<number | undefined>,
  compute: Compute,
): Promise<Decomposition> {
  if (splits.length === 0)
    return { notes: ['no layer takes less as two: no decomposed checkpoint was written'] };
  await network.reset();
  const { tensors, notes } = await inCheckpoint(network, checkpoint, splits, compute);
  for (const split of tensors.keys())
    await network.commit({ layer: split.index, weight: await productOf(split, compute) });
  const after = await evaluate();
  const about = { mode, network: network.facts.identity };
  const written = await writeDecomposed(target, checkpoint, tensors, ranks, about, compute.signal);
  return {
    files: written.files,
    ...(after !== undefined && { after }),
    notes: [...notes, ...written.notes, ...(mode === 'independent' ? [INDEPENDENT_WARNING] : [])],
  };
}

/** Layers to split and the tensors they replace; what is not the checkpoint's weight is left as it is. */
async function inCheckpoint(
  network: RunnableNetwork,
  checkpoint: Checkpoint | undefined,
  splits: readonly SplitLayer[],
  { signal }: Compute,
): Promise<{ readonly tensors: Map<SplitLayer, Tensor | undefined>; readonly notes: readonly string[] }> {
  if (checkpoint === undefined)
    return { tensors: new Map(splits.map((split) => [split, undefined])), notes: [] };
  const tensors = new Map<SplitLayer, Tensor>();
  const foreign: string[] = [];
  for (const split of splits) {
    const weight = await network.weight(split.index, signal);
    const tensor = await weightInCheckpoint(checkpoint, split.layer, weight);
    if (tensor === undefined) foreign.push(split.layer.name);
    else tensors.set(split, tensor);
  }
  const [first] = foreign;
  if (first === undefined) return { tensors, notes: [] };
  const others = foreign.length > 1 ? ` (and of ${countOf(foreign.length - 1, 'other layer')})` : '';
  const reason = `the weight of ${printable(first)}${others} is not in ${printable(checkpoint.path)} under that name with those values`;
  if (tensors.size === 0)
    throw new Error(`${reason}: name the checkpoint that the network was made from, or none`);
  return { tensors, notes: [`${reason}: left as it was`] };
}
