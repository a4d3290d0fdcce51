/** TensorFlow Lite models (`schema.fbs` of TensorFlow), read without their weights. Field numbers are the schema's. */
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { MAX_AXES } from '../layout';
import { FlatBuffer, type Table } from './flatbuffer';

/** Of one model, over all its subgraphs; each takes some 500 bytes of memory. The largest have some ten thousand. */
const MAX_TENSORS = 400_000;
const MAX_OPERATORS = 400_000;
/** Bodies of conditions and loops are subgraphs of their own. */
const MAX_SUBGRAPHS = 10_000;
/** Inputs and outputs of one operator, such as a concatenation; and over a model. */
const MAX_OPERANDS = 65_536;
const MAX_ALL_OPERANDS = 4_000_000;
/** Scales and zero points over a model: one a channel of every layer of the largest models is less. */
const MAX_STEPS = 4_000_000;

export interface TfliteQuantisation {
  readonly scales: readonly number[];
  readonly zeroPoints: readonly number[];
  /** That there is a scale for each slice of, where there are several. */
  readonly axis: number;
}

export interface TfliteTensor {
  readonly name: string;
  /** Sizes as the file has them, not yet checked. */
  readonly sizes: readonly number[];
  /** Code of `TensorType`. */
  readonly type: number;
  /** Where its values lie; undefined for what is computed. */
  readonly data?: { readonly offset: number; readonly length: number };
  readonly quantisation?: TfliteQuantisation;
  readonly isSparse: boolean;
  /** Its values are in another file. */
  readonly isExternal: boolean;
  /** Byte of the file at which it is described. */
  readonly position: number;
}

export interface TfliteOperator {
  /** Code of `BuiltinOperator`. */
  readonly code: number;
  /** Numbers of tensors of the subgraph; -1: left out. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly options: Table | undefined;
}

export interface TfliteGraph {
  readonly name: string;
  readonly tensors: readonly TfliteTensor[];
  readonly operators: readonly TfliteOperator[];
}

/** @throws CheckpointError naming the byte for what is no model, and beyond the bounds above. */
export function readTfliteModel(file: RandomAccessFile): readonly TfliteGraph[] {
  return new ModelReader(file).graphs();
}

class ModelReader {
  private readonly buffer: FlatBuffer;
  private tensorsLeft = MAX_TENSORS;
  private operatorsLeft = MAX_OPERATORS;
  private operandsLeft = MAX_ALL_OPERANDS;
  private stepsLeft = MAX_STEPS;

  constructor(private readonly file: RandomAccessFile) {
    this.buffer = new FlatBuffer(file);
  }

  graphs(): TfliteGraph[] {
    const model = this.buffer.root();
    const codes = model.tables(1, MAX_OPERATORS).map(operatorCode);
    const data = model.tables(4, MAX_TENSORS).map((table) => this.data(table));
    return model.tables(2, MAX_SUBGRAPHS).map((table) => this.graph(table, codes, data));
  }

  private graph(table: Table, codes: readonly number[], data: readonly TfliteTensor['data'][]): TfliteGraph {
    const tables = table.tables(0, this.tensorsLeft);
    this.tensorsLeft -= tables.length;
    const operators = table.tables(3, this.operatorsLeft);
    this.operatorsLeft -= operators.length;
    return {
      name: table.text(4),
      tensors: tables.map((tensor) => this.tensor(tensor, data)),
      operators: operators.map((operator) => this.operator(operator, codes)),
    };
  }

  /** Values in the flatbuffer; behind it in models of more than 2 GB. Neither: what is computed. */
  private data(table: Table): TfliteTensor['data'] {
    const inside = table.vector(0, 1);
    if (inside.length > 0) return { offset: inside.begin, length: inside.length };
    const [offset, length] = [table.uint64(1), table.uint64(2)];
    // Writers put 1 where they do not know the place yet.
    if (offset <= 1n || length === 0n) return undefined;
    if (offset + length > BigInt(this.file.size))
      throw this.buffer.error(
        `values that end at byte ${offset + length} of ${this.file.size}`,
        table.position,
      );
    return { offset: Number(offset), length: Number(length) };
  }

  private tensor(table: Table, data: readonly TfliteTensor['data'][]): TfliteTensor {
    const number = table.uint32(2);
    if (number !== 0 && number >= data.length)
      throw this.buffer.error(`values number ${number} of ${data.length}`, table.position);
    const name = table.text(3);
    const values = data[number];
    const quantisation = this.quantisation(table.table(4), values !== undefined);
    return {
      name,
      sizes: table.integers(0, MAX_AXES),
      type: table.uint8(1),
      ...(values !== undefined && { data: values }),
      ...(quantisation !== undefined && { quantisation }),
      isSparse: table.field(6) !== undefined,
      isExternal: table.uint32(10) !== 0,
      position: table.position,
    };
  }

  private quantisation(table: Table | undefined, isStored: boolean): TfliteQuantisation | undefined {
    if (table === undefined || !isStored) return undefined;
    const scales = table.floats(2, this.stepsLeft);
    const zeroPoints = table.longs(3, this.stepsLeft);
    this.stepsLeft -= Math.min(this.stepsLeft, scales.length + zeroPoints.length);
    return scales.length === 0 ? undefined : { scales, zeroPoints, axis: table.int32(6) };
  }

  private operator(table: Table, codes: readonly number[]): TfliteOperator {
    const code = codes[table.uint32(0)];
    if (code === undefined)
      throw this.buffer.error('an operator that the model does not list', table.position);
    const [inputs, outputs] = [table.integers(1, MAX_OPERANDS), table.integers(2, MAX_OPERANDS)];
    this.operandsLeft -= inputs.length + outputs.length;
    if (this.operandsLeft < 0)
      throw new CheckpointError('unsupported', `more than ${MAX_ALL_OPERANDS} inputs and outputs`, {
        file: this.file.path,
      });
    return { code, inputs, outputs, options: table.table(4) };
  }
}

/** Older files have the code in a byte alone, newer ones in both places where it fits. */
function operatorCode(table: Table): number {
  return Math.max(table.uint8(0), table.int32(3));
}
