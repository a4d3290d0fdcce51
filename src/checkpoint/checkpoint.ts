import type { Decoder } from './decoders/decoder';
import type { DType } from './dtype';

/**
 * A range of a file that holds a storage. Plain data, so that it can be handed to a worker thread, which then
 * reads from the file itself: tensors never travel between threads.
 */
export type FileBytes =
  | {
      readonly encoding: 'raw';
      readonly path: string;
      /** First byte in the file. */
      readonly offset: number;
      readonly byteLength: number;
    }
  | {
      /** A raw DEFLATE stream (a compressed zip entry): read as a whole, bounded by `byteLength`. */
      readonly encoding: 'deflate';
      readonly path: string;
      readonly offset: number;
      readonly compressedLength: number;
      /** Bytes of the inflated stream before the storage begins (an `.npy` header). */
      readonly skip: number;
      readonly byteLength: number;
    }
  | {
      /** UTF-8 text whose characters are the bytes (code points 0 … 255): how pickle protocol 2 keeps NumPy arrays. */
      readonly encoding: 'utf8';
      readonly path: string;
      readonly offset: number;
      /** Bytes of the text in the file. */
      readonly encodedLength: number;
      readonly byteLength: number;
    };

/** Held in memory: a matrix that was computed, not read. */
export interface MemoryBytes {
  readonly encoding: 'memory';
  /** What it was computed from, for messages. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly byteLength: number;
}

/** φ(ω·U·Vᵀ)/g, float32: a weight kept as factors, multiplied out when it is read. */
export interface ProductBytes {
  readonly encoding: 'product';
  readonly path: string;
  readonly product: ActivatedProduct;
  readonly byteLength: number;
}

/** Tensors one after the other along a first axis: a stack of experts, each kept as factors of its own. */
export interface StackBytes {
  readonly encoding: 'stack';
  readonly path: string;
  readonly parts: readonly Tensor[];
  readonly byteLength: number;
}

/** Values that a file keeps in another form, such as in pieces, compressed or quantised: decoded when they are read. */
export interface DecodedBytes {
  readonly encoding: 'decoded';
  readonly path: string;
  /** What they are decoded from, in the decoder's order. */
  readonly sources: readonly Tensor[];
  readonly decoder: Decoder;
  readonly byteLength: number;
}

/** Where the bytes of a storage come from. */
export type StorageBytes = FileBytes | MemoryBytes | ProductBytes | StackBytes | DecodedBytes;

/**
 * A stack of matrices φ(ω·U·Vᵀ)/g, one a group, rows following one another (Ji et al., "Sine activated
 * low-rank matrices for parameter efficient learning", eq. 3). The identity makes it the ordinary low-rank product.
 */
export interface ActivatedProduct {
  readonly activation: 'identity' | 'sine';
  /** Above 0; of the linear product any number but 0, which is then a scale. */
  readonly omega: number;
  /** One for each group. */
  readonly gains: readonly number[];
  /** groups × m × k, or m × k; of any floating-point type, as V. */
  readonly U: Tensor;
  /** groups × n × k, or n × k. */
  readonly V: Tensor;
  /** The product is Wᵀ (n × m): the original was stored in × out. */
  readonly transposed: boolean;
}

/** How a tensor's elements lie in its storage, when not contiguous in row-major order from the first byte. */
export interface StridedLayout {
  /** Elements from the start of the storage to element [0, …, 0]. */
  readonly offset: number;
  /** Elements between neighbours along each axis, never negative. */
  readonly strides: readonly number[];
}

/** What the file itself says about the module a tensor belongs to (whole-module pickles do, state dicts do not). */
export interface ModuleHint {
  /** Class name as the file gives it: `Conv2d`, `ConvTranspose2d`, `Embedding`, `Linear`, `GRU` … */
  readonly type: string;
  readonly groups?: number;
  /**
   * How a matrix is stored, where the file tells. `out-in`: y = W·x, convolutions O × I/groups × k… (transposed ones
   * I × O/groups × k…); `in-out`: y = x·W, convolutions k… × I/groups × O (transposed ones k… × O × I). Absent: as the
   * libraries that use the tensor's name have it. Readers state it of weights alone, never of biases or norms.
   */
  readonly order?: 'out-in' | 'in-out';
  /**
   * What the library that wrote the file calls the tensor, where the file has a number instead of a name:
   * `conv2d/kernel` for Keras 3's `layers/conv2d/vars/0`. What names mean is read from it.
   */
  readonly knownAs?: string;
  /** Axes of a linear map's inputs, where it has several (a product over more than one axis): the first ones if `in-out`. */
  readonly inputAxes?: number;
  /** Gates of a recurrent weight, in the order in which they are stacked, where the file tells. */
  readonly gates?: readonly string[];
  /** What else than a weight it is, where the file tells: `constant`: made by the code, not by training. */
  readonly part?: 'bias' | 'quantisation' | 'constant';
}

/**
 * What a tensor is for, as far as its place in the file tells. `training`: trainers' own state, such as scores of
 * callbacks, loss scalers and random generators. `factor`: U or V of a weight, or one of the two matrices of an adapter,
 * that the checkpoint also gives multiplied out, under a name of its own. `packed`: a part of a weight that is kept
 * quantised and that the checkpoint also gives as it was before.
 */
export type TensorRole = 'model' | 'optimizer' | 'training' | 'factor' | 'packed';

/** One named tensor of a checkpoint; its values stay in the file until they are asked for. */
export interface Tensor {
  /** Path from the file's root, keys joined with dots, nothing stripped. Text from the file: treat as hostile. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly storage: StorageBytes;
  /** Absent: contiguous, row-major, from the first byte of the storage. */
  readonly layout?: StridedLayout;
  /** Absent: little-endian. */
  readonly byteOrder?: 'big';
  readonly role: TensorRole;
  readonly module?: ModuleHint;
}

/** Something in the file that looks like a tensor but cannot be given as one (sparse, quantised, opaque …). */
export interface UnreadableTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly reason: string;
}

/** What a weight kept as factors was made of, as its file says. */
export interface FactoredWeight {
  /** Element type of the weight before; the product itself is float32. */
  readonly dtype: DType;
  /** `sine`, `svd`. */
  readonly factorization: string;
}

/**
 * A low-rank adapter (Hu et al., "LoRA", 2021, eq. 3): the change ΔW of a weight, one more tensor of the checkpoint that
 * is multiplied out when its values are read. Its weight belongs to a base model, which need not be in the file.
 */
export interface Adapter {
  /** What the weight that it changes would be called beside it; decides on the kind of layer. */
  readonly weight: string;
  /** Names of the two tensors that it is made of, in file order. */
  readonly factors: readonly string[];
  /** Numbers in both of them. */
  readonly parameters: number;
  /** No rank of the change can be above it; absent where the change is no linear product. */
  readonly maxRank?: number;
  /** Changes of as many weights in a stack, one after the other along the first axis. */
  readonly groups?: number;
}

/** What a file says of the adapters in it where its format has a place for that. */
export interface AdapterMetadata {
  /** α of all of them (GGUF's `adapter.lora.alpha`). */
  readonly alpha?: number;
  /** JSON text that Rankscope's own training keeps under `rankscope.adapters`. */
  readonly trained?: string;
}

/** A checkpoint, opened: its tensors in file order, none of them read yet. */
export interface Checkpoint {
  /** As the user gave it. */
  readonly path: string;
  /** For people: `safetensors`, `safetensors (3 shards)`, `PyTorch (zip)`, `PyTorch (legacy)`, `NumPy (.npz)` … */
  readonly format: string;
  /** Files that make it up, in order; one but for sharded models. */
  readonly files: readonly string[];
  /** Bytes of all files. */
  readonly bytes: number;
  readonly tensors: readonly Tensor[];
  readonly unreadable: readonly UnreadableTensor[];
  /** No model is written in this format: changed weights go to a file of another one. */
  readonly readOnly?: true;
  /** Tensors that the file keeps as factors, by name; absent for files that keep none. */
  readonly factored?: ReadonlyMap<string, FactoredWeight>;
  /** Tensors that are changes of weights, by name; absent for files without adapters. */
  readonly adapters?: ReadonlyMap<string, Adapter>;
  /** From the file's reader, for whoever looks for adapters. */
  readonly adapterMetadata?: AdapterMetadata;
  /** Things a person should know (optimizer state left out, globals a pickle names that were not followed …). */
  readonly notes: readonly string[];
}

/** Number of elements of a shape (1 for a scalar). */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
