import type { ByteRange } from './byteRange';
import type { Context, Part } from './context';
import { Protobuf, ProtobufError, type Span } from './protobuf';
import type { Finding } from './verdict';

/** Fields of saved_model.proto, meta_graph.proto, graph.proto, function.proto and node_def.proto. */
const SAVED_MODEL = { metaGraphs: 2 } as const;
const META_GRAPH = { graph: 2 } as const;
const GRAPH = { node: 1, library: 2 } as const;
const LIBRARY = { function: 1 } as const;
const FUNCTION = { node: 3 } as const;
const NODE = { name: 1, operation: 2 } as const;

/** Operations that reach out of the graph when the model runs; savers and restorers belong to every SavedModel. */
const OPERATIONS: ReadonlyMap<string, readonly [Finding['level'], string]> = new Map([
  ...of(
    'ReadFile WriteFile MatchingFiles WholeFileReader WholeFileReaderV2',
    'dangerous',
    'reads or writes files',
  ),
  ...of(
    'TextLineDataset TFRecordDataset TFRecordDatasetV2 FixedLengthRecordDataset',
    'unknown',
    'reads files',
  ),
  ...of(
    'FixedLengthRecordDatasetV2 TextLineReader TextLineReaderV2 TFRecordReader',
    'unknown',
    'reads files',
  ),
  ...of(
    'PyFunc PyFuncStateless EagerPyFunc',
    'suspicious',
    'calls Python functions of the program that loads it',
  ),
  ...of('LoadDataset LoadAndRemapMatrix SaveDataset DatasetToTFRecord', 'unknown', 'reads or writes files'),
  ...of('RpcCall TryRpc RpcClient RpcServerStart DataServiceDataset', 'dangerous', 'reaches the network'),
  ...of('DebugIdentity DebugIdentityV2 DebugIdentityV3', 'suspicious', 'may send values to an address'),
  ...of('FileSystemSetConfiguration', 'suspicious', 'changes how files are reached'),
]);

function of(names: string, level: Finding['level'], reason: string) {
  return names
    .split(' ')
    .map((name): [string, readonly [Finding['level'], string]] => [name, [level, reason]]);
}

/** A SavedModel, or a graph alone: the operations that touch files, the network or Python. */
export function inspectTensorflow({ range, where }: Part, context: Context): string {
  const { report } = context;
  report.parts++;
  const proto = new Protobuf(range);
  const isSaved = isSavedModel(range);
  const found = new Map<string, string>();
  try {
    for (const graph of isSaved ? savedGraphs(proto) : [proto.whole]) {
      for (const node of nodesOf(proto, graph)) {
        const operation = proto.textOf(node, NODE.operation);
        if (OPERATIONS.has(operation) && !found.has(operation))
          found.set(operation, proto.textOf(node, NODE.name));
      }
    }
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    report.find('unknown', 'format', `no whole TensorFlow graph: ${error.message}`, where, error.offset);
  }
  for (const [operation, node] of found) {
    const [level, reason] = OPERATIONS.get(operation) ?? ['unknown', ''];
    report.find(
      level,
      'code',
      `operation ${operation} (node "${node}") ${reason} when the model runs`,
      where,
    );
  }
  return isSaved ? 'TensorFlow SavedModel' : 'TensorFlow graph';
}

/** A SavedModel begins with its version, 1; a graph with its first node. */
function isSavedModel(range: ByteRange): boolean {
  const [key, version] = range.read(0, 2);
  return key === 0x08 && version === 1;
}

function* savedGraphs(proto: Protobuf): Generator<Span> {
  for (const meta of proto.messages(proto.whole, SAVED_MODEL.metaGraphs))
    yield* proto.messages(meta, META_GRAPH.graph);
}

function* nodesOf(proto: Protobuf, graph: Span): Generator<Span> {
  for (const { number, span } of proto.walk(graph)) {
    if (number === GRAPH.node) yield span;
    else if (number === GRAPH.library)
      for (const body of proto.messages(span, LIBRARY.function)) yield* proto.messages(body, FUNCTION.node);
  }
}
