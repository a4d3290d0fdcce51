/** What a network that runs says of the inputs of a checkpoint's layers: the norm in which their fits are measured. */
import type { FileHandle } from 'node:fs/promises';
import type { Checkpoint } from '../../checkpoint/checkpoint';
import { CheckpointError, printable } from '../../checkpoint/errors';
import type { Layer } from '../../checkpoint/layers';
import { readAt, writeAt, type StagedFiles } from '../../checkpoint/write/staging';
import type { ComputeBackend } from '../../compute';
import type { RunnableNetwork } from '../../network/network';
import { isFiniteGram, weightedEnergies } from '../../utilization';
import { weightInCheckpoint } from '../utilization/decomposedCheckpoint';
import { gramPasses, sumGrams } from '../utilization/gramPasses';
import type { MeasuredLayer } from '../utilization/measuredLayers';

/** The inputs of one layer. */
export interface LayerInputs {
  /** Eigenvalues of W·G·Wᵀ for each group, min(m, n) of them, descending: what truncated SVD leaves out in this norm. */
  readonly energies: readonly Float64Array[];
  /** G = Σ x·xᵀ of each group, n × n. */
  grams(): Promise<readonly Float64Array[]>;
}

/** What a network says of a checkpoint's layers, by their names. */
export interface GatheredInputs {
  readonly inputs: ReadonlyMap<string, LayerInputs>;
  /** Groups of convolutions that the checkpoint does not tell, and which were read as one matrix. */
  readonly grouped: ReadonlyMap<string, number>;
}

interface Gathering {
  readonly network: RunnableNetwork;
  readonly checkpoint: Checkpoint;
  readonly layers: readonly Layer[];
  /** Gram matrices wait here until their layer's turn. */
  readonly staged: StagedFiles;
  /** The file that the conversion is to write. */
  readonly target: string;
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
  readonly onFraction: (fraction: number) => void;
}

/**
 * Sums the inputs of those layers that the network has, by the names of the checkpoint's layers. A layer of the same
 * name with other weights is another layer: its inputs would say nothing of this one.
 *
 * @throws CheckpointError when the network has none of the layers, or the inputs of one are not finite
 */
export async function gatherLayerInputs(options: Gathering): Promise<GatheredInputs> {
  const { network, checkpoint, staged, target, signal, onFraction } = options;
  const { found, grouped } = await layersOfNetwork(options);
  if (found.size === 0) {
    const [first] = network.layers;
    const has = first === undefined ? 'it has none' : `its first is ${printable(first.name)}`;
    throw new CheckpointError('unsupported', `the network has no layer of these names and weights: ${has}`, {
      file: checkpoint.path,
    });
  }
  const { handle } = await staged.scratch(target);
  const offsets = new Map<MeasuredLayer, number>();
  let written = 0;
  const passes = gramPasses([...found.keys()]);
  for (const [i, pass] of passes.entries())
    await sumGrams(
      network,
      pass,
      async (measured, gram) => {
        requireFinite(measured, gram, checkpoint);
        offsets.set(measured, written);
        const offset = written;
        written += gram.byteLength;
        await writeAt(handle, new Uint8Array(gram.buffer, gram.byteOffset, gram.byteLength), offset);
      },
      signal,
      (fraction) => {
        onFraction((i + fraction) / passes.length);
      },
    );
  const inputs = new Map<string, LayerInputs>();
  for (const [measured, layer] of found) {
    const offset = offsets.get(measured);
    if (offset === undefined) continue;
    const { groups, shape } = measured.layer;
    const grams = (): Promise<readonly Float64Array[]> => readGrams(handle, offset, groups, shape[1]);
    const energies = await energiesOf(measured, await grams(), options);
    // Outputs that are all zero have no relative error.
    if (energies.some(([largest = 0]) => largest > 0)) inputs.set(layer.name, { energies, grams });
  }
  return { inputs, grouped };
}

function requireFinite(
  { layer: { name, shape } }: MeasuredLayer,
  gram: Float64Array,
  { path }: Checkpoint,
): void {
  if (isFiniteGram(gram, shape[1])) return;
  const reason = 'the network gives it inputs that are NaN or infinite: check the data of the recipe';
  throw new CheckpointError('malformed', reason, { file: path, tensor: name });
}

async function energiesOf(
  { index, layer: { shape } }: MeasuredLayer,
  grams: readonly Float64Array[],
  { network, backend, signal }: Gathering,
): Promise<Float64Array[]> {
  const [m, n] = shape;
  const weight = await network.weight(index, signal);
  const energies: Float64Array[] = [];
  for (const [g, G] of grams.entries()) {
    const W = weight.slice(g * m * n, (g + 1) * m * n);
    energies.push(await weightedEnergies(W, m, n, G, { backend, signal }));
  }
  return energies;
}

/** Layers of the network that are layers of the checkpoint, by name and weight. */
async function layersOfNetwork({ network, checkpoint, layers, signal }: Gathering): Promise<{
  readonly found: Map<MeasuredLayer, Layer>;
  readonly grouped: Map<string, number>;
}> {
  const wanted = new Map(
    layers.filter(({ stack }) => stack === undefined).map((layer) => [layer.tensor.name, layer]),
  );
  const found = new Map<MeasuredLayer, Layer>();
  const grouped = new Map<string, number>();
  for (const [index, one] of network.layers.entries()) {
    signal.throwIfAborted();
    const weight = await network.weight(index, signal);
    const tensor = await weightInCheckpoint(checkpoint, one, weight);
    const layer = tensor === undefined ? undefined : wanted.get(tensor.name);
    if (layer === undefined) continue;
    const [m, n] = one.shape;
    if (layer.shape[0] !== m || layer.shape[1] !== n || layer.matrices.length !== one.groups) {
      if (one.groups > 1) grouped.set(layer.name, one.groups);
      continue;
    }
    found.set({ index, layer: one }, layer);
    wanted.delete(layer.tensor.name);
  }
  return { found, grouped };
}

async function readGrams(
  handle: FileHandle,
  offset: number,
  groups: number,
  n: number,
): Promise<readonly Float64Array[]> {
  const grams: Float64Array[] = [];
  const length = 8 * n * n;
  for (let g = 0; g < groups; g++) {
    const bytes = await readAt(handle, length, offset + g * length);
    grams.push(new Float64Array(bytes.buffer, bytes.byteOffset, n * n));
  }
  return grams;
}
