/** ONNX models (`onnx.proto3`), read without their weights: the graph, and where in the file every tensor lies. */
import type { RandomAccessFile } from '../file';
import { type OnnxTensor, TensorReader } from './tensor';
import { type ByteSpan, type WireField, WireReader } from '../protobuf/wire';

/** If inside Loop inside If …: exporters write two or three levels; protobuf itself stops at a hundred. */
const MAX_DEPTH = 16;
/** Over all graphs of a file; each takes some hundred bytes of memory. Unrolled models reach tens of thousands. */
const MAX_NODES = 500_000;
/** Names that nodes mention, over all graphs. */
const MAX_MENTIONS = 4_000_000;
/** Integers of one attribute (pads, axes, permutations). */
const MAX_ATTRIBUTE_INTEGERS = 65_536;
/** `ai.onnx` is written as an empty domain by most. */
const DEFAULT_DOMAINS: ReadonlySet<string> = new Set(['', 'ai.onnx']);

/** A dimension: a size, a name for a size that is not fixed, or nothing known. */
export type OnnxDimension = number | string | undefined;

/** An input, output or intermediate value as the model declares it. */
export interface OnnxValue {
  readonly name: string;
  /** Code of `TensorProto.DataType`; undefined for sequences, maps and optionals. */
  readonly elementType: number | undefined;
  /** Undefined: not even the number of axes is declared. */
  readonly shape: readonly OnnxDimension[] | undefined;
  readonly span: ByteSpan;
}

export interface OnnxAttribute {
  readonly integer?: number;
  readonly float?: number;
  readonly text?: string;
  readonly integers?: readonly number[];
  readonly tensor?: OnnxTensor;
  /** Branches of an If, bodies of Loop and Scan. */
  readonly graphs: readonly OnnxGraph[];
}

export interface OnnxNode {
  readonly name: string;
  readonly operator: string;
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  /** An empty name is an optional input left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
  readonly span: ByteSpan;
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  /** Kept as they are: nothing here looks into them. */
  readonly sparseInitializers: readonly { readonly name: string; readonly span: ByteSpan }[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly values: readonly OnnxValue[];
}

export interface OnnxModel {
  readonly path: string;
  /** The model's file, and those of external data. */
  readonly files: readonly string[];
  /** Of the files of external data together. */
  readonly externalBytes: number;
  readonly irVersion: number;
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  readonly graph: OnnxGraph;
  /** Fields of the model that any part of it needs: operator sets and local functions. */
  readonly shared: readonly ByteSpan[];
  /** Bodies of local functions. */
  readonly functions: readonly (readonly OnnxNode[])[];
  /** Graphs for training are beside the main one; they are not read. */
  readonly hasTraining: boolean;
}

/**
 * Reads the structure of an ONNX model; weights stay where they are.
 *
 * @throws CheckpointError naming the byte for what is no ONNX model, and for external data that lies outside the
 * model's folder.
 */
export function readOnnxModel(file: RandomAccessFile): OnnxModel {
  return new ModelReader(file).model();
}

class ModelReader {
  private readonly wire: WireReader;
  private readonly tensors: TensorReader;
  private nodes = 0;
  private mentions = 0;

  constructor(private readonly file: RandomAccessFile) {
    this.wire = new WireReader(file);
    this.tensors = new TensorReader(this.wire);
  }

  model(): OnnxModel {
    const { wire } = this;
    let irVersion: number | undefined;
    let graph: OnnxGraph | undefined;
    let hasTraining = false;
    const functions: OnnxNode[][] = [];
    const opsets: { domain: string; version: number }[] = [];
    const shared: ByteSpan[] = [];
    for (const field of wire.fields({ begin: 0, end: this.file.size })) {
      if (field.number === 1) irVersion = wire.integer(field);
      else if (field.number === 7) {
        if (graph !== undefined) throw wire.error('malformed', 'a second graph', field.whole.begin);
        graph = this.graph(wire.message(field), 0);
      } else if (field.number === 8) opsets.push(this.opset(field));
      else if (field.number === 20) hasTraining = true;
      else if (field.number === 25) functions.push(this.functionBody(field));
      if (field.number === 8 || field.number === 25) shared.push(field.whole);
    }
    if (irVersion === undefined || graph === undefined)
      throw wire.error('malformed', 'not an ONNX model: it has no version or no graph', 0);
    const { path } = this.file;
    const { files, externalBytes } = this.tensors;
    return {
      path,
      files: [path, ...files],
      externalBytes,
      irVersion,
      opsets,
      graph,
      shared,
      functions,
      hasTraining,
    };
  }

  private functionBody(field: WireField): OnnxNode[] {
    const nodes: OnnxNode[] = [];
    for (const part of this.wire.fields(this.wire.message(field)))
      if (part.number === 7) nodes.push(this.node(part, 1));
    return nodes;
  }

  private opset(field: WireField): { domain: string; version: number } {
    let domain = '';
    let version = 0;
    for (const part of this.wire.fields(this.wire.message(field))) {
      if (part.number === 1) domain = this.wire.text(part);
      else if (part.number === 2) version = this.wire.integer(part);
    }
    return { domain, version };
  }

  private graph(span: ByteSpan, depth: number): OnnxGraph {
    const { wire, tensors } = this;
    if (depth > MAX_DEPTH)
      throw wire.error('unsupported', `graphs nested more than ${MAX_DEPTH} deep`, span.begin);
    let name = '';
    const nodes: OnnxNode[] = [];
    const initializers: OnnxTensor[] = [];
    const sparseInitializers: { name: string; span: ByteSpan }[] = [];
    const inputs: OnnxValue[] = [];
    const outputs: OnnxValue[] = [];
    const values: OnnxValue[] = [];
    for (const field of wire.fields(span)) {
      if (field.number === 1) nodes.push(this.node(field, depth));
      else if (field.number === 2) name = wire.text(field);
      else if (field.number === 5) initializers.push(tensors.tensor(field));
      else if (field.number === 11) inputs.push(this.value(field));
      else if (field.number === 12) outputs.push(this.value(field));
      else if (field.number === 13) values.push(this.value(field));
      else if (field.number === 15) sparseInitializers.push(this.sparse(field));
    }
    return { name, nodes, initializers, sparseInitializers, inputs, outputs, values };
  }

  private sparse(field: WireField): { name: string; span: ByteSpan } {
    for (const part of this.wire.fields(this.wire.message(field)))
      if (part.number === 1) return { name: this.tensors.tensor(part).name, span: field.whole };
    throw this.wire.error('malformed', 'a sparse tensor without values', field.whole.begin);
  }

  private node(field: WireField, depth: number): OnnxNode {
    const { wire } = this;
    if (++this.nodes > MAX_NODES)
      throw wire.error('unsupported', `more than ${MAX_NODES} nodes`, field.whole.begin);
    let name = '';
    let operator = '';
    let domain = '';
    const inputs: string[] = [];
    const outputs: string[] = [];
    const attributes = new Map<string, OnnxAttribute>();
    for (const part of wire.fields(wire.message(field))) {
      if (part.number === 1) inputs.push(this.mention(part));
      else if (part.number === 2) outputs.push(this.mention(part));
      else if (part.number === 3) name = wire.text(part);
      else if (part.number === 4) operator = wire.text(part);
      else if (part.number === 5) this.attribute(part, depth, attributes);
      else if (part.number === 7) domain = wire.text(part);
    }
    if (DEFAULT_DOMAINS.has(domain)) domain = '';
    return { name, operator, domain, inputs, outputs, attributes, span: field.whole };
  }

  private mention(field: WireField): string {
    if (++this.mentions > MAX_MENTIONS)
      throw this.wire.error('unsupported', `more than ${MAX_MENTIONS} inputs and outputs`, field.whole.begin);
    return this.wire.text(field);
  }

  private attribute(field: WireField, depth: number, into: Map<string, OnnxAttribute>): void {
    const { wire } = this;
    let name = '';
    const integers: number[] = [];
    const graphs: OnnxGraph[] = [];
    let attribute: Omit<OnnxAttribute, 'graphs' | 'integers'> = {};
    for (const part of wire.fields(wire.message(field))) {
      if (part.number === 1) name = wire.text(part);
      else if (part.number === 2) attribute = { ...attribute, float: wire.float(part) };
      else if (part.number === 3) attribute = { ...attribute, integer: wire.integer(part) };
      // Attributes may hold blobs of other tools; only texts as short as a name matter here.
      else if (part.number === 4 && part.value.end - part.value.begin <= 256)
        attribute = { ...attribute, text: wire.text(part) };
      else if (part.number === 5) attribute = { ...attribute, tensor: this.tensors.tensor(part) };
      else if (part.number === 6 || part.number === 11)
        graphs.push(this.graph(wire.message(part), depth + 1));
      else if (part.number === 8) {
        for (const { value } of wire.integers(part)) {
          if (integers.length < MAX_ATTRIBUTE_INTEGERS) integers.push(value);
        }
      }
    }
    into.set(name, { ...attribute, ...(integers.length === 0 ? {} : { integers }), graphs });
  }

  private value(field: WireField): OnnxValue {
    const { wire } = this;
    let name = '';
    let elementType: number | undefined;
    let shape: readonly OnnxDimension[] | undefined;
    for (const part of wire.fields(wire.message(field))) {
      if (part.number === 1) name = wire.text(part);
      if (part.number !== 2) continue;
      for (const type of wire.fields(wire.message(part))) {
        if (type.number !== 1) continue;
        for (const item of wire.fields(wire.message(type))) {
          if (item.number === 1) elementType = wire.integer(item);
          else if (item.number === 2) shape = this.dimensions(item);
        }
      }
    }
    return { name, elementType, shape, span: field.whole };
  }

  private dimensions(field: WireField): OnnxDimension[] {
    const { wire } = this;
    const shape: OnnxDimension[] = [];
    for (const part of wire.fields(wire.message(field))) {
      if (part.number !== 1) continue;
      let dimension: OnnxDimension;
      for (const item of wire.fields(wire.message(part))) {
        if (item.number === 1) {
          const size = wire.integer(item);
          // Zero and negative sizes are how some tools write "not fixed".
          if (size > 0) dimension = size;
        } else if (item.number === 2) dimension = wire.text(item);
      }
      shape.push(dimension);
    }
    return shape;
  }
}
