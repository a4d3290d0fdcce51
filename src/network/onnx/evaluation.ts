/** Evaluations of a network with one weight changed, in which only what comes after the change is run again. */
import { totalmem } from 'node:os';
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import { readTensorBytes } from '../../checkpoint/tensorData';
import { run } from './activations';
import type { Batches } from './batches';
import type { GraphIndex } from './graph';
import type { WeightView } from './weight';
import type { ModelFile } from './modelFile';
import type { NetworkInput } from './networkInput';
import type { Observation } from './observation';
import type { ValueType } from './protobuf';
import type { OnnxRuntime } from './runtime';
import { type Slice, sliceGraph, writeSlice } from './slice';

/**
 * Values kept between evaluations: what crosses the cut before the changed layer, for all validation samples. 932
 * images of ResNet-20 take 120 MB at most, 10,000 take 1.3 GB. Beyond this an earlier cut is used, or none.
 */
const MAX_KEPT_BYTES = Math.min(2 * 2 ** 30, totalmem() / 4);
/** Earlier layers that are tried for a cut that fits; each try walks over the graph. */
const MAX_EARLIER_CUTS = 16;

export interface EvaluationNetwork {
  readonly graph: GraphIndex;
  readonly file: ModelFile;
  readonly runtime: OnnxRuntime;
  readonly input: NetworkInput;
  readonly inputType: ValueType;
  readonly observation: Observation;
  readonly weights: readonly WeightView[];
  /** Output to evaluate. */
  readonly output: string;
  readonly samples: number;
  readonly batches: Batches;
}

/** New values of a weight, in the layout and type of the file. */
export interface StoredChange {
  /** Index into `weights`. */
  readonly layer: number;
  readonly bytes: Uint8Array;
}

/** What was computed before a cut, by batch. */
interface Prefix {
  readonly position: number;
  readonly batches: readonly Readonly<Record<string, Tensor>>[];
}

/** A part of the network from a cut to the output. */
interface Suffix {
  readonly position: number;
  readonly promoted: number | undefined;
  readonly slice: Slice;
  readonly session: InferenceSession;
}

/**
 * Runs a network from the cut before a changed layer on. The graph's nodes are in an order in which they can be run, so
 * a cut is a position in that order; what crosses it was computed with the weights committed so far, and is kept until a
 * weight before the cut changes.
 */
export class SuffixEvaluation {
  private readonly committed = new Map<string, Uint8Array>();
  /** First node that a layer's weight has an influence on. */
  private readonly firstNode: readonly number[];
  private readonly cuts = new Map<number, number>();
  private prefix: Prefix | undefined;
  private suffix: Suffix | undefined;
  /** A part of the network did not run as a model of its own: it is run as a whole. */
  private isWhole: boolean;

  constructor(
    private readonly network: EvaluationNetwork,
    private readonly onNote: (note: string) => void,
  ) {
    this.firstNode = network.weights.map(({ name }) => firstInfluence(network.graph, name));
    this.isWhole = network.observation.isPartial;
  }

  /** Gives every batch's output in turn. */
  async run(
    change: StoredChange | undefined,
    onOutput: (batch: number, output: Tensor) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const position = change === undefined ? (this.prefix?.position ?? 0) : this.cutBefore(change.layer);
    if (position === 0) {
      await this.runFrom(0, change, onOutput, signal);
      return;
    }
    let told = 0;
    try {
      await this.runFrom(
        position,
        change,
        (batch, output) => {
          told++;
          onOutput(batch, output);
        },
        signal,
      );
    } catch (error) {
      signal.throwIfAborted();
      if (told > 0) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      this.onNote(
        `The whole network is evaluated for every change, because a part of it does not run alone (${reason}).`,
      );
      this.isWhole = true;
      this.cuts.clear();
      this.prefix = undefined;
      await this.runFrom(0, change, onOutput, signal);
    }
  }

  /** The change stays. */
  async commit({ layer, bytes }: StoredChange): Promise<void> {
    const name = this.weight(layer).name;
    this.committed.set(name, bytes);
    await this.forget(layer);
  }

  /** Back to the original weights. */
  async reset(): Promise<void> {
    const changed = this.network.weights.flatMap(({ name }, layer) =>
      this.committed.has(name) ? [layer] : [],
    );
    this.committed.clear();
    for (const layer of changed) await this.forget(layer);
  }

  async dispose(): Promise<void> {
    this.prefix = undefined;
    await this.releaseSuffix();
  }

  /** Drops what was computed with a layer's earlier weight. */
  private async forget(layer: number): Promise<void> {
    if (this.prefix !== undefined && (this.firstNode[layer] ?? 0) < this.prefix.position)
      this.prefix = undefined;
    const isConstant = this.suffix?.promoted !== layer;
    if (isConstant && this.suffix?.slice.constants.includes(this.weight(layer).name) === true)
      await this.releaseSuffix();
    // A Constant node's value is among the nodes, not the constants, until it is replaced.
    const producer = this.network.graph.producer(this.weight(layer).name);
    if (isConstant && producer !== undefined && this.suffix?.slice.nodes.includes(producer) === true)
      await this.releaseSuffix();
  }

  private async runFrom(
    position: number,
    change: StoredChange | undefined,
    onOutput: (batch: number, output: Tensor) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { batches, output, input } = this.network;
    await this.moveTo(position, signal);
    const { session, promoted, slice } = await this.suffixFor(position, change?.layer);
    const weight = promoted === undefined ? {} : await this.weightFeed(promoted, change);
    for (let batch = 0; batch < batches.count; batch++) {
      signal.throwIfAborted();
      const before = this.prefix?.batches[batch] ?? { [input.name]: await batches.read(batch) };
      const feeds = Object.fromEntries(slice.inputs.map((name) => [name, before[name]]));
      const { [output]: result } = await run(session, { ...definedOnly(feeds), ...weight }, signal);
      if (result === undefined) throw new Error(`ONNX Runtime gave no "${output}"`);
      onOutput(batch, result);
    }
  }

  private async weightFeed(
    layer: number,
    change: StoredChange | undefined,
  ): Promise<Readonly<Record<string, Tensor>>> {
    const { name, tensor } = this.weight(layer);
    const bytes = change?.bytes ?? this.committed.get(name) ?? (await readTensorBytes(tensor));
    const { buffer, byteOffset, byteLength } = bytes;
    const { Tensor: Make } = this.network.runtime;
    const { shape, dtype } = tensor;
    if (dtype === 'float64')
      return { [name]: new Make('float64', new Float64Array(buffer, byteOffset, byteLength / 8), shape) };
    if (dtype === 'float16')
      return { [name]: new Make('float16', new Uint16Array(buffer, byteOffset, byteLength / 2), shape) };
    return { [name]: new Make('float32', new Float32Array(buffer, byteOffset, byteLength / 4), shape) };
  }

  /** The part from `position` on, with the weight of `layer` as an input. */
  private async suffixFor(position: number, layer: number | undefined): Promise<Suffix> {
    const { suffix } = this;
    // Without a change, a part whose weight can be given does as well.
    const fits = suffix?.position === position && (layer === undefined || suffix.promoted === layer);
    if (suffix !== undefined && fits) return suffix;
    await this.releaseSuffix();
    const { graph, output } = this.network;
    const slice = sliceGraph(graph, {
      from: position,
      outputs: [output],
      replaced: this.committed,
      ...(layer === undefined ? {} : { promoted: this.weight(layer).name }),
    });
    this.suffix = { position, promoted: layer, slice, session: await this.load(slice) };
    return this.suffix;
  }

  private async load(slice: Slice): Promise<InferenceSession> {
    const { graph, file, runtime, input, inputType, observation } = this.network;
    const typeOf = (name: string): ValueType | undefined =>
      name === input.name ? inputType : observation.values.get(name)?.type;
    return runtime.load(await file.assemble(writeSlice(graph, slice, typeOf)));
  }

  private async releaseSuffix(): Promise<void> {
    const { suffix } = this;
    this.suffix = undefined;
    await suffix?.session.release();
  }

  /** Computes what crosses the cut at `position`, from the nearest cut before it that is known. */
  private async moveTo(position: number, signal: AbortSignal): Promise<void> {
    const start = this.prefix !== undefined && this.prefix.position <= position ? this.prefix : undefined;
    if ((start?.position ?? 0) === position) {
      this.prefix = start;
      return;
    }
    const { graph, input, batches } = this.network;
    const crossing = this.crossing(position);
    const first = start?.batches[0];
    const isKnown = (name: string): boolean => (first === undefined ? name === input.name : name in first);
    const outputs = crossing.filter((name) => !isKnown(name));
    const slice = sliceGraph(graph, { from: start?.position ?? 0, outputs, replaced: this.committed });
    const session = outputs.length === 0 ? undefined : await this.load(slice);
    const known = start === undefined ? [] : [...start.batches];
    // Old values are let go batch by batch; a failure on the way leaves nothing half done.
    this.prefix = undefined;
    const moved: Readonly<Record<string, Tensor>>[] = [];
    try {
      for (let batch = 0; batch < batches.count; batch++) {
        const before = known.shift() ?? { [input.name]: await batches.read(batch) };
        const feeds = Object.fromEntries(slice.inputs.map((name) => [name, before[name]]));
        const computed = session === undefined ? {} : await run(session, definedOnly(feeds), signal);
        const all = { ...before, ...computed };
        moved.push(definedOnly(Object.fromEntries(crossing.map((name) => [name, all[name]]))));
      }
    } finally {
      await session?.release();
    }
    this.prefix = { position, batches: moved };
  }

  /** Names of the values that cross a cut. */
  private crossing(position: number): readonly string[] {
    const { graph, output } = this.network;
    return sliceGraph(graph, { from: position, outputs: [output], replaced: this.committed }).inputs;
  }

  /** The latest cut before a layer whose values can be kept; 0: the whole network. */
  private cutBefore(layer: number): number {
    if (this.isWhole) return 0;
    const known = this.cuts.get(layer);
    if (known !== undefined) return known;
    const own = this.firstNode[layer] ?? 0;
    const earlier = [...new Set(this.firstNode)].filter((node) => node < own).sort((a, b) => b - a);
    const candidates = [own, ...earlier.slice(0, MAX_EARLIER_CUTS)];
    const cut = candidates.find((position) => this.bytesAt(position) <= MAX_KEPT_BYTES) ?? 0;
    this.cuts.set(layer, cut);
    return cut;
  }

  private bytesAt(position: number): number {
    const { observation, samples } = this.network;
    return this.crossing(position).reduce(
      (sum, name) => sum + (observation.values.get(name)?.bytesPerSample ?? Infinity) * samples,
      0,
    );
  }

  private weight(layer: number): WeightView {
    const weight = this.network.weights[layer];
    if (weight === undefined) throw new Error(`no layer ${layer}`);
    return weight;
  }
}

function definedOnly(values: Readonly<Record<string, Tensor | undefined>>): Record<string, Tensor> {
  const defined: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(values)) if (value !== undefined) defined[name] = value;
  return defined;
}

/** First node that depends on the input and on a stored value: also where that is copied or transposed on the way. */
function firstInfluence(graph: GraphIndex, name: string): number {
  let first = graph.nodes.length;
  const seen = new Set<string>();
  const pending = [name];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    for (const reader of graph.readersOf(value)) {
      const outputs = graph.nodes[reader]?.outputs ?? [];
      if (outputs.some((output) => graph.isDynamic(output))) first = Math.min(first, reader);
      else pending.push(...outputs);
    }
  }
  return first;
}
