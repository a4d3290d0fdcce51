/** Values of a network's parameters out of a checkpoint. */
import { elementCount, type Checkpoint, type Tensor } from '../../checkpoint/checkpoint';
import { CheckpointError, printable } from '../../checkpoint/errors';
import { readTensorBytes } from '../../checkpoint/tensorData';
import { countOf } from '../../checkpoint/wording';
import { toFloat32 } from '../data/elements';
import type { Architecture, BuiltinLayer, Parameter } from './architecture';
import {
  gainOf,
  keptNames,
  keptWeight,
  NamedTensors,
  requireShape,
  type KeptWeight,
} from './checkpointLayers';
import { arrayNames, arraysOf } from './weight';

export { formsInCheckpoint } from './checkpointLayers';

/** Factors of a weight, U groups × m × k and V groups × n × k, row-major. */
export interface WeightFactors {
  readonly U: Float32Array;
  readonly V: Float32Array;
  /** Of a sine: those with which the factors stand for the weight, where they are not the layer's. */
  readonly omega?: number;
  readonly gain?: number;
}

export interface LoadOptions {
  /** Of what the checkpoint lacks. */
  readonly seed: number;
  readonly signal: AbortSignal;
  /**
   * Factors of a dense weight (as PyTorch shapes it, row-major) for a layer that is to be low-rank or sine; absent: such a
   * checkpoint is an error. Values are taken as they are: where ω or g come out others than the layer's, the caller builds
   * the network anew with them.
   */
  readonly factor?: (layer: BuiltinLayer, weight: Float32Array) => Promise<WeightFactors>;
}

export interface LoadedValues {
  /** Of every parameter, by its name. */
  readonly values: Map<string, Float32Array>;
  /** Things a person should know. */
  readonly notes: string[];
}

/**
 * Values for every parameter, by name, also behind what a wrapper puts before all names (`state_dict.`, `module.`).
 * Weights come from whatever form the checkpoint keeps them in. What it lacks starts from the seed, and a note says so.
 *
 * @throws CheckpointError naming tensor and file: shapes that differ, or nothing that fits at all; the signal's reason
 */
export async function loadValues(
  architecture: Architecture,
  checkpoint: Checkpoint,
  options: LoadOptions,
): Promise<LoadedValues> {
  const tensors = new NamedTensors(checkpoint);
  const loading = new Loading(architecture, tensors, commonPrefix(architecture, tensors), options);
  for (const layer of architecture.layers) await loading.layer(layer);
  for (const parameter of architecture.parameters) await loading.parameter(parameter);
  return loading.finish();
}

/** What stands before the most names of the network. @throws CheckpointError where none of them occurs */
function commonPrefix({ layers, parameters, title }: Architecture, tensors: NamedTensors): string {
  const votes = new Map<string, number>();
  const names = new Set([
    ...parameters.map(({ name }) => name),
    ...layers.flatMap(({ name }) => keptNames(name)),
  ]);
  for (const name of names)
    for (const prefix of tensors.prefixesOf(name)) votes.set(prefix, (votes.get(prefix) ?? 0) + 1);
  const [best] = [...votes].sort(([a, x], [b, y]) => y - x || a.length - b.length);
  if (best !== undefined) return best[0];
  const [wanted] = parameters;
  const [there] = tensors.names();
  throw new CheckpointError(
    'unsupported',
    `nothing in it fits ${title}: the network has "${wanted?.name ?? ''}", the checkpoint ${there === undefined ? 'nothing' : `"${printable(there)}"`}`,
    { file: tensors.checkpoint.path },
  );
}

class Loading {
  private readonly values = new Map<string, Float32Array>();
  private readonly used = new Set<string>();
  private readonly fresh: string[] = [];
  /** Arrays that training adds to a network: nobody expects them in a checkpoint. */
  private readonly adapters: ReadonlySet<string>;
  private factored = 0;

  constructor(
    private readonly architecture: Architecture,
    private readonly tensors: NamedTensors,
    private readonly prefix: string,
    private readonly options: LoadOptions,
  ) {
    this.adapters = new Set(
      architecture.layers.flatMap(({ name }) => [arrayNames(name).A, arrayNames(name).B]),
    );
  }

  async layer(layer: BuiltinLayer): Promise<void> {
    const kept = keptWeight(this.tensors, this.prefix, layer);
    if (kept === undefined) return;
    const names = arrayNames(layer.name);
    const { form } = layer;
    if (form.kind === 'low-rank' || form.kind === 'sine') {
      const { U, V } = await this.factorsOf(layer, form.rank, kept);
      this.values.set(names.U, U);
      this.values.set(names.V, V);
    } else this.values.set(names.W, await this.wholeOf(layer, kept));
  }

  async parameter(parameter: Parameter): Promise<void> {
    const { name, shape } = parameter;
    if (this.values.has(name)) return;
    // The bias of a layer that is kept as two is the second one's.
    const tensor =
      this.tensors.get(`${this.prefix}${name}`) ??
      this.tensors.get(`${this.prefix}${name.replace(/\.bias$/, '.1.bias')}`);
    if (tensor === undefined) {
      this.values.set(name, parameter.initial(this.options.seed));
      if (!this.adapters.has(name)) this.fresh.push(name);
    } else {
      requireShape(this.file, tensor, shape);
      this.values.set(name, await this.read(tensor));
    }
  }

  finish(): LoadedValues {
    const { fresh, factored, architecture } = this;
    const notes: string[] = [];
    if (fresh.length > 0)
      notes.push(
        `${countOf(fresh.length, 'parameter')} of ${architecture.title} ${fresh.length === 1 ? 'is' : 'are'} not in the checkpoint and ${fresh.length === 1 ? 'starts' : 'start'} anew: ${listed(fresh)}`,
      );
    if (factored > 0)
      notes.push(`${countOf(factored, 'layer')} of the checkpoint turned into factors before training`);
    const unused = [...this.tensors.names()].filter((name) => !this.used.has(name) && !isBuffer(name));
    if (unused.length > 0)
      notes.push(
        `${countOf(unused.length, 'tensor')} of the checkpoint ${unused.length === 1 ? 'has' : 'have'} no place in the network: ${listed(unused)}`,
      );
    return { values: this.values, notes };
  }

  private get file(): string {
    return this.tensors.checkpoint.path;
  }

  /** U and V: the kept ones where they are of this form and rank, else those of the whole weight. */
  private async factorsOf(layer: BuiltinLayer, rank: number, kept: KeptWeight): Promise<WeightFactors> {
    const isSine = layer.form.kind === 'sine';
    if (kept.kind === 'pair' && !isSine && kept.rank === rank) return this.factorsOfPair(layer, rank, kept);
    if (kept.kind === 'factors' && kept.rank === rank && (kept.product.activation === 'sine') === isSine)
      return this.factorsKept(layer, kept);
    if (kept.kind === 'bare') return this.bareFactors(layer, kept);
    const { factor } = this.options;
    if (factor === undefined)
      throw new CheckpointError(
        'unsupported',
        `its weight is not kept as ${isSine ? 'sine factors' : 'factors'} of rank ${rank}: convert or decompose the checkpoint first`,
        { file: this.file, tensor: layer.name },
      );
    this.factored++;
    return factor(layer, await this.wholeOf(layer, kept));
  }

  private async factorsOfPair(
    { shape: [, n], groups }: BuiltinLayer,
    rank: number,
    { first, second }: KeptWeight & { kind: 'pair' },
  ): Promise<WeightFactors> {
    const [U, rows] = [await this.read(second), await this.read(first)];
    const V = new Float32Array(rows.length);
    for (let group = 0; group < groups; group++)
      for (let i = 0; i < rank; i++)
        for (let j = 0; j < n; j++) V[(group * n + j) * rank + i] = rows[(group * rank + i) * n + j] ?? 0;
    return { U, V };
  }

  /** ω is put into U where it is not the layer's; g cannot be put anywhere. */
  private async factorsKept(
    layer: BuiltinLayer,
    kept: KeptWeight & { kind: 'factors' },
  ): Promise<WeightFactors> {
    const { product, tensor } = kept;
    this.used.add(tensor.name);
    const gain = gainOf(this.file, kept);
    const [U, V] = [await this.read(product.U), await this.read(product.V)];
    if (product.activation === 'identity') return { U: scaled(U, product.omega / gain), V };
    if (gain !== layer.gain)
      throw new CheckpointError(
        'unsupported',
        `its factors are those of sin(ω·U·Vᵀ)/g with g = ${gain}, and the layer has g = ${layer.gain ?? 1}: leave "forms" out of the recipe, or give it this "gain"`,
        { file: this.file, tensor: tensor.name },
      );
    return { U: scaled(U, product.omega / (layer.omega ?? 1)), V };
  }

  private async bareFactors(
    layer: BuiltinLayer,
    { U, V }: KeptWeight & { kind: 'bare' },
  ): Promise<WeightFactors> {
    for (const { role, shape } of arraysOf(layer)) requireShape(this.file, role === 'U' ? U : V, shape);
    return { U: await this.read(U), V: await this.read(V) };
  }

  /** W as PyTorch shapes it. */
  private async wholeOf(
    { shape: [m, n], groups, name }: BuiltinLayer,
    kept: KeptWeight,
  ): Promise<Float32Array> {
    if (kept.kind === 'dense' || kept.kind === 'factors') return this.read(kept.tensor);
    if (kept.kind === 'bare')
      throw new CheckpointError('unsupported', 'kept as U and V, and not said in which form', {
        file: this.file,
        tensor: name,
      });
    const { rank, first, second } = kept;
    if (rank > Math.min(m, n))
      throw new CheckpointError('unsupported', `a pair of rank ${rank} for a matrix of ${m} × ${n}`, {
        file: this.file,
        tensor: first.name,
      });
    const [rows, columns] = [await this.read(first), await this.read(second)];
    const W = new Float32Array(groups * m * n);
    for (let o = 0; o < groups * m; o++) {
      const group = Math.floor(o / m);
      const sums = new Float64Array(n);
      for (let i = 0; i < rank; i++) {
        const u = columns[o * rank + i] ?? 0;
        const from = (group * rank + i) * n;
        for (let j = 0; j < n; j++) sums[j] = (sums[j] ?? 0) + u * (rows[from + j] ?? 0);
      }
      W.set(sums, o * n);
    }
    return W;
  }

  private async read(tensor: Tensor): Promise<Float32Array> {
    this.options.signal.throwIfAborted();
    this.used.add(tensor.name);
    const values = toFloat32(await readTensorBytes(tensor), tensor.dtype);
    if (values?.length === elementCount(tensor.shape)) return values;
    throw new CheckpointError('unsupported', `values of type ${tensor.dtype} are not trained here`, {
      file: this.file,
      tensor: tensor.name,
    });
  }
}

/** Counters that PyTorch's modules keep beside their parameters. */
function isBuffer(name: string): boolean {
  return /(?:^|\.)(?:num_batches_tracked|position_ids)$/.test(name);
}

function scaled(values: Float32Array, factor: number): Float32Array {
  return factor === 1 ? values : values.map((value) => value * factor);
}

/** Names in a row, the first few. */
function listed(names: readonly string[]): string {
  return `${names.slice(0, 3).map(printable).join(', ')}${names.length > 3 ? ' …' : ''}`;
}
