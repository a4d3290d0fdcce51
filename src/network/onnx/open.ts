import { createHash } from 'node:crypto';
import { elementCount } from '../../checkpoint/checkpoint';
import { CheckpointError, printable } from '../../checkpoint/errors';
import type { OnnxGraph, OnnxNode } from '../../checkpoint/onnx';
import type { ComputeBackend } from '../../compute';
import type { NetworkData } from '../data/dataset';
import type { NetworkFacts, NetworkLayer, RunnableNetwork } from '../network';
import { findClassifier } from './classifier';
import { GraphIndex } from './graph';
import { type FoundLayer, findLayers } from './layers';
import { ModelFile } from './modelFile';
import { layerNames, matchNames } from './names';
import { networkInput } from './networkInput';
import type { Observation } from './observation';
import { OnnxNetwork } from './onnxNetwork';
import { loadOnnxRuntime } from './runtime';
import { look, positionsOf } from './sight';

export interface OnnxNetworkRequest {
  /** Path of the model. */
  readonly model: string;
  /** Checkpoint whose names the layers take, matched by their values. */
  readonly checkpoint?: string;
  /** Absent: layers and weights can be looked at, nothing is run on data. */
  readonly data: NetworkData | undefined;
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
}

/**
 * A network in an ONNX file, run by ONNX Runtime. Its linear layers are the Gemm and MatMul nodes with a stored matrix,
 * its convolutions the Conv nodes (and their fused forms). The file is never changed; parts of it are run as models of
 * their own, with the weight in question as an input.
 *
 * @throws CheckpointError for a file that is no ONNX model, and Error for a network that does not run or data that does
 * not fit it; each one line that says what to do.
 */
export async function openOnnxNetwork(request: OnnxNetworkRequest): Promise<RunnableNetwork> {
  const { signal } = request;
  signal.throwIfAborted();
  const file = await ModelFile.open(request.model);
  try {
    return await prepare(file, request);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function prepare(file: ModelFile, request: OnnxNetworkRequest): Promise<RunnableNetwork> {
  const { data, backend, signal, checkpoint } = request;
  const graph = new GraphIndex(file.model);
  requireInlineData(graph);
  const input = networkInput(graph);
  const search = findLayers(graph);
  if (search.layers.length === 0)
    throw new Error(
      `${printable(request.model)}: no linear or convolution layer with stored weights was found${search.notes.length === 0 ? '' : ` (${search.notes.join(' ')})`}`,
    );
  const own = layerNames(graph, search.layers);
  const named =
    checkpoint === undefined
      ? { names: own, notes: [] }
      : await matchNames(own, search.layers, checkpoint, signal);
  const runtime = await loadOnnxRuntime(backend.concurrency);
  const dataNotes = new Set([...(data?.validation.notes ?? []), ...(data?.gram.notes ?? [])]);
  const notes = [...runtime.notes, ...search.notes, ...named.notes, ...dataNotes];
  const seen = await look(file, graph, runtime, input, search.layers, data, signal);
  if (seen?.observation.oneAtATime === true)
    notes.push('The network does not run on two samples at once, so they are run one by one.');
  if (seen?.observation.isPartial === true)
    notes.push('Some values of the network are no tensors, so all of it is evaluated for every change.');
  const layers = search.layers.map((found, i) =>
    describe(found, named.names[i] ?? found.weight.name, seen?.observation),
  );
  const classifier = seen === undefined ? undefined : findClassifier(graph, seen.observation);
  notes.push(...(classifier?.notes ?? []));
  const facts: NetworkFacts = {
    host: 'onnx',
    runtime: runtime.title,
    metric: data?.validation.labels === undefined ? undefined : 'accuracy',
    gramSamples: data?.gram.samples ?? 0,
    validationSamples: data?.validation.samples ?? 0,
    parameters: countParameters(graph),
    identity: identity(await file.digest(signal), data),
    notes,
  };
  return new OnnxNetwork({
    file,
    graph,
    runtime,
    input,
    backend,
    data,
    seen,
    classifier,
    found: search.layers,
    layers,
    facts,
    notes,
  });
}

/** ONNX Runtime would look for these files by itself, wherever they are said to be. */
function requireInlineData({ model }: GraphIndex): void {
  const visitNodes = (nodes: readonly OnnxNode[]): void => {
    for (const { attributes } of nodes)
      for (const { tensor, graphs } of attributes.values()) {
        if (tensor?.external === true)
          throw new CheckpointError('unsupported', 'a value inside a node is kept in another file', {
            file: model.path,
            tensor: tensor.name,
            offset: tensor.span.begin,
          });
        graphs.forEach(visitGraph);
      }
  };
  const visitGraph = (graph: OnnxGraph): void => {
    for (const { external, name, span } of graph.initializers)
      if (external)
        throw new CheckpointError('unsupported', 'a value inside a node is kept in another file', {
          file: model.path,
          tensor: name,
          offset: span.begin,
        });
    visitNodes(graph.nodes);
  };
  visitNodes(model.graph.nodes);
  model.functions.forEach(visitNodes);
}

function describe(found: FoundLayer, name: string, observation: Observation | undefined): NetworkLayer {
  const { kind, m, n, groups, bias } = found;
  const positions = observation === undefined ? 0 : positionsOf(found, observation);
  return { name, kind, shape: [m, n], groups, parameters: groups * m * n, bias, positions };
}

function countParameters({ model, initializers }: GraphIndex): number {
  const isWeight = (type: string): boolean => /^(?:float|bfloat)/.test(type);
  let sum = 0;
  const statistics = runningStatistics(model.graph.nodes);
  for (const { name, typeName, shape } of initializers.values())
    if (isWeight(typeName) && !statistics.has(name)) sum += elementCount(shape);
  const visit = (nodes: readonly OnnxNode[]): void => {
    for (const { operator, attributes } of nodes)
      for (const [key, { tensor, graphs }] of attributes) {
        // Single numbers are settings, not weights.
        if (operator === 'Constant' && key === 'value' && tensor !== undefined && tensor.shape.length > 0)
          if (isWeight(tensor.typeName)) sum += elementCount(tensor.shape);
        for (const graph of graphs) {
          for (const { typeName, shape } of graph.initializers)
            if (isWeight(typeName)) sum += elementCount(shape);
          visit(graph.nodes);
        }
      }
  };
  visit(model.graph.nodes);
  return sum;
}

/** Means and variances that a batch norm has seen: kept with the weights, but nobody trains them. */
function runningStatistics(nodes: readonly OnnxNode[]): Set<string> {
  const norms = nodes.filter(({ operator }) => operator === 'BatchNormalization');
  return new Set(norms.flatMap(({ inputs }) => inputs.slice(3, 5)));
}

function identity(model: string, data: NetworkData | undefined): string {
  const parts = ['onnx', model, data?.gram.identity ?? '', data?.validation.identity ?? ''];
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}
