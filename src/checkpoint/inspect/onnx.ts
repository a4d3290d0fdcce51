import { countOf, inARow } from '../wording';
import type { Context, Part } from './context';
import { Protobuf, ProtobufError, type Span } from './protobuf';
import { reportPath } from './zipTricks';

/** Fields of onnx.proto. */
const MODEL = { graph: 7, functions: 25 } as const;
const FUNCTION = { node: 7 } as const;
const GRAPH = { node: 1, initializer: 5, sparseInitializer: 15 } as const;
const NODE = { opType: 4, attribute: 5, domain: 7 } as const;
const ATTRIBUTE = { tensor: 5, graph: 6, tensors: 10, graphs: 11 } as const;
const TENSOR = { externalData: 13 } as const;

/** Operators that a runtime brings along. */
const KNOWN_DOMAINS: ReadonlySet<string> = new Set([
  '',
  ...'ai.onnx ai.onnx.ml ai.onnx.training ai.onnx.preview.training com.microsoft com.microsoft.nchwc'.split(
    ' ',
  ),
  ...'com.ms.internal.nhwc ai.onnx.preview org.pytorch.aten pkg.onnxscript.torch_lib'.split(' '),
]);

/** Graphs within graphs (branches and loops). */
const MAX_GRAPH_DEPTH = 16;
/** Names told; the rest is counted. */
const MAX_NAMED = 6;

/** An ONNX model: which files it reads its tensors from, and whose operators it needs. */
export function inspectOnnx({ range, where }: Part, context: Context): string {
  const { report } = context;
  report.parts++;
  const walk = new OnnxWalk(new Protobuf(range));
  try {
    walk.model();
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    report.find('unknown', 'format', `no whole ONNX model: ${error.message}`, where, error.offset);
  }
  for (const place of walk.files) reportPath(place, place, where, report);
  if (walk.files.size > 0)
    report.note(`Reads tensors from ${countOf(walk.files.size, 'file')} beside it: ${firstOf(walk.files)}`);
  if (walk.domains.size > 0)
    report.note(`Needs operators that runtimes do not bring along: ${firstOf(walk.domains)}`);
  for (const name of walk.python)
    report.find(
      'unknown',
      'code',
      `operator ${name} calls Python functions of the program that loads it`,
      where,
    );
  return 'ONNX';
}

function firstOf(names: ReadonlySet<string>): string {
  const shown = [...names].slice(0, MAX_NAMED);
  return inARow(names.size > MAX_NAMED ? [...shown, `${names.size - MAX_NAMED} more`] : shown);
}

class OnnxWalk {
  readonly files = new Set<string>();
  readonly domains = new Set<string>();
  readonly python = new Set<string>();

  constructor(private readonly proto: Protobuf) {}

  model(): void {
    for (const { number, span } of this.proto.walk(this.proto.whole)) {
      if (number === MODEL.graph) this.graph(span, 0);
      else if (number === MODEL.functions)
        for (const node of this.proto.messages(span, FUNCTION.node)) this.node(node, 0);
    }
  }

  private graph(graph: Span, depth: number): void {
    if (depth > MAX_GRAPH_DEPTH) throw new ProtobufError('graphs nested too deeply', graph.begin);
    for (const { number, span } of this.proto.walk(graph)) {
      if (number === GRAPH.node) this.node(span, depth);
      else if (number === GRAPH.initializer) this.tensor(span);
      else if (number === GRAPH.sparseInitializer)
        for (const part of [1, 2]) for (const tensor of this.proto.messages(span, part)) this.tensor(tensor);
    }
  }

  private node(node: Span, depth: number): void {
    let operator = '';
    let domain = '';
    for (const { number, span } of this.proto.walk(node)) {
      if (number === NODE.opType) operator = this.proto.text(span);
      else if (number === NODE.domain) domain = this.proto.text(span);
      else if (number === NODE.attribute) this.attribute(span, depth);
    }
    if (KNOWN_DOMAINS.has(domain)) return;
    if (this.domains.size < 1000) this.domains.add(domain);
    if (/^Py(?:Op|CustomOp|Func)|^PythonOp/.test(operator)) this.python.add(`${domain}.${operator}`);
  }

  private attribute(attribute: Span, depth: number): void {
    for (const { number, span } of this.proto.walk(attribute)) {
      if (number === ATTRIBUTE.tensor || number === ATTRIBUTE.tensors) this.tensor(span);
      else if (number === ATTRIBUTE.graph || number === ATTRIBUTE.graphs) this.graph(span, depth + 1);
    }
  }

  private tensor(tensor: Span): void {
    for (const pair of this.proto.messages(tensor, TENSOR.externalData)) {
      if (this.proto.textOf(pair, 1) === 'location' && this.files.size < 1000)
        this.files.add(this.proto.textOf(pair, 2));
    }
  }
}
