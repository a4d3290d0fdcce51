/** TensorFlow's own operations, through the binding under TensorFlow.js, which has no float64 of its own. */

/** What the binding says of a tensor that an operation made. */
interface TensorInfo {
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: number;
}

interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: number | boolean;
}

/** The part of the native binding that is used here. A failure throws an Error with TensorFlow's status in it. */
export interface TensorflowBinding {
  readonly TF_Version: string;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_INT64: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  isUsingGpuDevice(): boolean;
  /** Tensors alive, of everyone. */
  getNumOfTensors(): number;
  /** int64 elements come as pairs of int32. The array is shared, not copied, where the tensor stays in this memory. */
  createTensor(shape: readonly number[], dtype: number, values: Float32Array | Int32Array): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | BigInt64Array;
  executeOp(
    name: string,
    attributes: readonly Attribute[],
    inputs: readonly number[],
    outputs: number,
  ): TensorInfo[];
}

/** TensorFlow's number for float64, which the binding does not export. */
const TF_DOUBLE = 2;

/** A tensor on the device; of no use once its owner is disposed of. */
export type TensorId = number & { readonly brand: 'TensorId' };

export interface Transposes {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

export type FloatType = 'float32' | 'float64';

/** Tensors made for one computation, freed together. */
export class Tensors {
  private readonly alive = new Set<TensorId>();

  constructor(private readonly binding: TensorflowBinding) {}

  /** Runs a computation and frees all that it made, also when it fails. */
  static scoped<T>(binding: TensorflowBinding, work: (tensors: Tensors) => T): T {
    const tensors = new Tensors(binding);
    try {
      return work(tensors);
    } finally {
      tensors.free(...tensors.alive);
    }
  }

  float32(values: Float32Array, shape: readonly number[]): TensorId {
    return this.own(this.binding.createTensor(shape, this.binding.TF_FLOAT, values));
  }

  /** float64 on the device, from either. */
  float64(values: Float32Array | Float64Array, shape: readonly number[]): TensorId {
    const { TF_FLOAT, TF_INT64 } = this.binding;
    if (values instanceof Float32Array) {
      const narrow = this.float32(values, shape);
      const attributes = [this.type('SrcT', TF_FLOAT), this.type('DstT', TF_DOUBLE)];
      return this.consume('Cast', attributes, narrow);
    }
    // The binding takes no float64 array: the same bytes go over as int64 and are called float64 there.
    const halves = new Int32Array(values.buffer, values.byteOffset, 2 * values.length);
    const bits = this.own(this.binding.createTensor(shape, TF_INT64, halves));
    return this.consume('Bitcast', [this.type('T', TF_INT64), this.type('type', TF_DOUBLE)], bits);
  }

  product(a: TensorId, b: TensorId, type: FloatType, transposes: Transposes = {}): TensorId {
    const { transposeA = false, transposeB = false } = transposes;
    const { TF_ATTR_BOOL, TF_FLOAT } = this.binding;
    const attributes = [
      { name: 'transpose_a', type: TF_ATTR_BOOL, value: transposeA },
      { name: 'transpose_b', type: TF_ATTR_BOOL, value: transposeB },
      this.type('T', type === 'float64' ? TF_DOUBLE : TF_FLOAT),
    ];
    return this.one('MatMul', attributes, [a, b]);
  }

  /** a + b in float64; both are freed. */
  sum(a: TensorId, b: TensorId): TensorId {
    const total = this.one('AddV2', [this.type('T', TF_DOUBLE)], [a, b]);
    this.free(a, b);
    return total;
  }

  /** Eigenvalues, ascending, of a symmetric float64 matrix. */
  eigenvalues(matrix: TensorId): Float64Array {
    return this.eigen(matrix, false).values;
  }

  /** Eigenvalues, ascending, and the matrix whose columns are the unit eigenvectors in that order. */
  eigenpairs(matrix: TensorId): { values: Float64Array; vectors: TensorId } {
    return this.eigen(matrix, true);
  }

  /** The first columns of a float64 matrix of so many rows. */
  firstColumns(matrix: TensorId, rows: number, columns: number): TensorId {
    const { TF_INT32 } = this.binding;
    const begin = this.own(this.binding.createTensor([2], TF_INT32, Int32Array.of(0, 0)));
    const size = this.own(this.binding.createTensor([2], TF_INT32, Int32Array.of(rows, columns)));
    const attributes = [this.type('T', TF_DOUBLE), this.type('Index', TF_INT32)];
    const slice = this.one('Slice', attributes, [matrix, begin, size]);
    this.free(begin, size);
    return slice;
  }

  read32(tensor: TensorId): Float32Array {
    const values = this.binding.tensorDataSync(tensor);
    if (!(values instanceof Float32Array)) throw new Error('TensorFlow answered with another element type');
    return values;
  }

  /** As float64 arrays go in, so they come out: as int64. */
  read64(tensor: TensorId): Float64Array {
    const { TF_INT64 } = this.binding;
    const attributes = [this.type('T', TF_DOUBLE), this.type('type', TF_INT64)];
    const bits = this.one('Bitcast', attributes, [tensor]);
    const { buffer, byteOffset, byteLength } = this.binding.tensorDataSync(bits);
    this.free(bits);
    return new Float64Array(buffer, byteOffset, byteLength / 8);
  }

  free(...tensors: readonly TensorId[]): void {
    for (const tensor of tensors) if (this.alive.delete(tensor)) this.binding.deleteTensor(tensor);
  }

  private eigen(matrix: TensorId, withVectors: boolean): { values: Float64Array; vectors: TensorId } {
    const attributes = [
      { name: 'compute_v', type: this.binding.TF_ATTR_BOOL, value: withVectors },
      this.type('T', TF_DOUBLE),
    ];
    const [values, vectors] = this.run('SelfAdjointEigV2', attributes, [matrix], 2);
    if (values === undefined || vectors === undefined) throw new Error('TensorFlow left out a result');
    const read = this.read64(values);
    this.free(values);
    if (!withVectors) this.free(vectors);
    return { values: read, vectors };
  }

  private consume(name: string, attributes: readonly Attribute[], input: TensorId): TensorId {
    const output = this.one(name, attributes, [input]);
    this.free(input);
    return output;
  }

  private one(name: string, attributes: readonly Attribute[], inputs: readonly TensorId[]): TensorId {
    const [output] = this.run(name, attributes, inputs, 1);
    if (output === undefined) throw new Error('TensorFlow left out a result');
    return output;
  }

  private run(
    name: string,
    attributes: readonly Attribute[],
    inputs: readonly TensorId[],
    outputs: number,
  ): TensorId[] {
    return this.binding.executeOp(name, attributes, inputs, outputs).map(({ id }) => this.own(id));
  }

  private type(name: string, value: number): Attribute {
    return { name, type: this.binding.TF_ATTR_TYPE, value };
  }

  private own(id: number): TensorId {
    // The one place where the binding's numbers become tensors.
    const tensor = id as TensorId;
    this.alive.add(tensor);
    return tensor;
  }
}
