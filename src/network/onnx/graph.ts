import type { OnnxGraph, OnnxModel, OnnxNode, OnnxTensor, OnnxValue } from '../../checkpoint/onnx';
import { CheckpointError } from '../../checkpoint/errors';

/** Operators whose outputs are no tensors, so that they cannot be handed from one model to another. */
const NO_TENSOR: ReadonlySet<string> = new Set([
  'SequenceConstruct',
  'SequenceEmpty',
  'SequenceInsert',
  'SequenceErase',
  'SequenceMap',
  'SplitToSequence',
  'Optional',
  'OptionalGetElement',
  'ZipMap',
]);

/** A graph with its edges: who makes a value, who uses it, and which values depend on the network's input. */
export class GraphIndex {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, OnnxTensor>;
  /** What has to be fed: inputs without a default. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Names that a node reads, those its subgraphs take from outside included; by node. */
  readonly reads: readonly (readonly string[])[];
  private readonly producers = new Map<string, number>();
  private readonly dynamic = new Set<string>();
  private readonly readers = new Map<string, number[]>();

  /** @throws CheckpointError `malformed` for nodes that are not in the order in which they can be run. */
  constructor(readonly model: OnnxModel) {
    const { graph } = model;
    this.nodes = graph.nodes;
    this.initializers = new Map(graph.initializers.map((tensor) => [tensor.name, tensor]));
    const isConstant = new Set([...this.initializers.keys(), ...graph.sparseInitializers.map((s) => s.name)]);
    this.inputs = graph.inputs.filter(({ name }) => !isConstant.has(name));
    this.outputs = graph.outputs;
    for (const { name } of this.inputs) this.dynamic.add(name);
    this.nodes.forEach(({ outputs }, index) => {
      for (const name of outputs) if (name !== '') this.producers.set(name, index);
    });
    this.reads = this.nodes.map(readsOf);
    this.reads.forEach((names, index) => {
      this.addNode(names, index);
    });
  }

  private addNode(names: readonly string[], index: number): void {
    const node = this.nodes[index];
    for (const name of names) {
      const producer = this.producers.get(name);
      if (producer !== undefined && producer >= index) {
        const reason = `the node "${node?.name ?? ''}" uses "${name}" before it is computed`;
        const location = { file: this.model.path, ...(node && { offset: node.span.begin }) };
        throw new CheckpointError('malformed', reason, location);
      }
      const readers = this.readers.get(name);
      if (readers === undefined) this.readers.set(name, [index]);
      else readers.push(index);
    }
    if (names.some((name) => this.dynamic.has(name)))
      for (const name of node?.outputs ?? []) if (name !== '') this.dynamic.add(name);
  }

  /** Whether a value depends on the network's input. */
  isDynamic(name: string): boolean {
    return this.dynamic.has(name);
  }

  /** Index of the node that computes a value; undefined for inputs and initializers. */
  producer(name: string): number | undefined {
    return this.producers.get(name);
  }

  /** Indices of the nodes that read a value. */
  readersOf(name: string): readonly number[] {
    return this.readers.get(name) ?? [];
  }

  /** The stored values behind a name: an initializer, or the value of a Constant node. */
  stored(name: string): OnnxTensor | undefined {
    const initializer = this.initializers.get(name);
    if (initializer !== undefined) return initializer;
    const node = this.nodes[this.producers.get(name) ?? -1];
    return node?.operator === 'Constant' && node.domain === ''
      ? node.attributes.get('value')?.tensor
      : undefined;
  }

  /** Values that depend on the input and can be looked at: the graph's inputs, then outputs of nodes in order. */
  observable(): string[] {
    const names = this.nodes
      .filter(({ operator }) => !NO_TENSOR.has(operator))
      .flatMap(({ outputs }) => outputs.filter((name) => this.dynamic.has(name)));
    return [...this.inputs.map(({ name }) => name), ...names];
  }
}

function readsOf(node: OnnxNode): string[] {
  const names = new Set(node.inputs.filter((name) => name !== ''));
  for (const { graphs } of node.attributes.values())
    for (const graph of graphs) for (const name of captured(graph)) names.add(name);
  return [...names];
}

/** Names that a subgraph uses and does not define. */
function captured(graph: OnnxGraph): string[] {
  const defined = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.initializers.map(({ name }) => name),
    ...graph.sparseInitializers.map(({ name }) => name),
    ...graph.nodes.flatMap(({ outputs }) => outputs),
  ]);
  const used = [...graph.nodes.flatMap(readsOf), ...graph.outputs.map(({ name }) => name)];
  return used.filter((name) => !defined.has(name));
}
