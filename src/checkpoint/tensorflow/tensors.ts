import { type Tensor, type UnreadableTensor, elementCount } from '../checkpoint';
import { type DType, bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import { nameParts } from '../layers/names';
import { requireShape } from '../layout';
import type { Bundle, BundleEntry } from './bundle';
import { STRING, reasonUnread, tensorflowType } from './dtypes';
import { variableModule, variableName, variableRole } from './names';
import { OBJECT_GRAPH_KEY } from './objectGraph';
import type { Shard } from './shards';
import { isSliceKey, joinedSlices, sliceKey, sliceOwner } from './slices';
import type { GraphVariable } from './variables';

/** All that is known of a checkpoint's variables, before they are tensors. */
export interface Variables {
  readonly bundle: Bundle;
  readonly shards: readonly Shard[];
  readonly index: string;
  /** By key. */
  readonly graph: ReadonlyMap<string, GraphVariable>;
}

export interface TensorList {
  readonly tensors: readonly Tensor[];
  readonly unreadable: readonly UnreadableTensor[];
  /** Variables whose values are kept a second time, which is left out. */
  readonly repeated: number;
}

/** A second list that Keras 3 keeps of all variables of an exported model, values and all. */
const SECOND_LIST = /(?:^|\/)_all_variables\/\d+\/\.ATTRIBUTES\/VARIABLE_VALUE$/;

/** Names in the order of people: `conv2d_2` before `conv2d_10`. */
const NATURAL = new Intl.Collator('en', { numeric: true });

/**
 * Every variable as a tensor, or with the reason why it cannot be one. In the order of the graph of objects where there
 * is one, which is that of the model's layers, else by name.
 *
 * @throws CheckpointError `malformed` for sizes that do not fit shape and type
 */
export function listTensors(variables: Variables): TensorList {
  const builder = new Builder(variables);
  for (const entry of inOrder(variables)) builder.add(entry);
  return builder.result();
}

function inOrder({ bundle, graph }: Variables): BundleEntry[] {
  const keyed = bundle.entries.map((entry) => {
    const key = entry.key.toString('utf8');
    return { entry, key, order: graph.get(key)?.order ?? Infinity };
  });
  keyed.sort((a, b) => (a.order === b.order ? NATURAL.compare(a.key, b.key) : a.order - b.order));
  return keyed.map(({ entry }) => entry);
}

class Builder {
  private readonly tensors: Tensor[] = [];
  private readonly unreadable: UnreadableTensor[] = [];
  private repeated = 0;
  private readonly names = new Set<string>();
  /** By key, bytes as characters: keys of slices are no UTF-8. */
  private readonly entries: ReadonlyMap<string, BundleEntry>;
  private readonly usedSlices = new Set<BundleEntry>();
  private readonly slices: BundleEntry[] = [];
  /** Of what the model's own list has, by the variable's name. */
  private readonly originals = new Map<string, BundleEntry>();

  constructor(private readonly variables: Variables) {
    this.entries = new Map(variables.bundle.entries.map((entry) => [entry.key.toString('latin1'), entry]));
  }

  add(entry: BundleEntry): void {
    if (isSliceKey(entry.key)) {
      this.slices.push(entry);
      return;
    }
    const key = entry.key.toString('utf8');
    // Part of the index rather than a variable: its text was read for what it says of them.
    if (key === OBJECT_GRAPH_KEY && entry.dtype === STRING) return;
    const graph = this.variables.graph.get(key);
    const name = variableName(key, graph, this.names);
    if (this.names.has(name)) throw this.error(name, 'malformed', 'is given twice');
    this.names.add(name);
    try {
      this.addNamed(entry, key, name, graph);
    } catch (error) {
      throw error instanceof CheckpointError ? error.at({ file: this.variables.index, tensor: name }) : error;
    }
  }

  result(): TensorList {
    for (const entry of this.slices) {
      if (this.usedSlices.has(entry)) continue;
      this.leaveOut(sliceOwner(entry.key), entry, 'a slice of a variable that the checkpoint does not list');
    }
    return { tensors: withModules(this.tensors), unreadable: this.unreadable, repeated: this.repeated };
  }

  private addNamed(entry: BundleEntry, key: string, name: string, graph: GraphVariable | undefined): void {
    const { name: type, dtype } = tensorflowType(entry.dtype);
    if (dtype === undefined) {
      this.leaveOut(name, entry, reasonUnread(type));
      return;
    }
    const original = SECOND_LIST.test(key) ? this.originals.get(graph?.fullName ?? '') : undefined;
    if (original !== undefined && isCopy(entry, original)) {
      this.repeated++;
      return;
    }
    if (graph !== undefined) this.originals.set(graph.fullName, entry);
    const shape = requireShape(entry.shape, bytesPerElement(dtype));
    const values =
      entry.slices.length > 0 ? this.joined(entry, dtype) : this.whole(entry, dtype, name, shape);
    if (values === undefined) {
      this.leaveOut(
        name,
        entry,
        `it is kept in ${entry.slices.length} slices that are not cut along its first axis`,
      );
      return;
    }
    const has = (other: string): boolean => this.entries.has(Buffer.from(other, 'utf8').toString('latin1'));
    const role = variableRole(key, name, shape, graph, has);
    this.tensors.push({ name, shape, dtype, ...values, role });
  }

  private whole(
    { shard, offset, size }: BundleEntry,
    dtype: DType,
    name: string,
    shape: readonly number[],
  ): Pick<Tensor, 'storage' | 'byteOrder'> {
    const { shards, index, bundle } = this.variables;
    const needed = elementCount(shape) * bytesPerElement(dtype);
    if (size !== needed)
      throw this.error(
        name,
        'malformed',
        `${dtype} of shape [${shape.join(', ')}] needs ${needed} bytes, not ${size}`,
      );
    return {
      storage: { encoding: 'raw', path: shards[shard]?.path ?? index, offset, byteLength: size },
      ...(bundle.header.isBigEndian && { byteOrder: 'big' }),
    };
  }

  /** Undefined when the slices do not follow one another in the whole. */
  private joined(entry: BundleEntry, dtype: DType): Pick<Tensor, 'storage'> | undefined {
    const found = entry.slices.map((extents, i) => {
      const slice = this.entries.get(sliceKey(entry.key, extents).toString('latin1'));
      if (slice === undefined) throw new CheckpointError('malformed', `its slice ${i} is missing`);
      this.usedSlices.add(slice);
      if (tensorflowType(slice.dtype).dtype !== dtype)
        throw new CheckpointError('malformed', `its slice ${i} has another type`);
      const name = `slice ${i}`;
      const shape = requireShape(slice.shape, bytesPerElement(dtype));
      return {
        extents,
        tensor: { name, shape, dtype, ...this.whole(slice, dtype, name, shape), role: 'model' as const },
      };
    });
    const parts = joinedSlices(entry.shape, found);
    if (parts === undefined) return undefined;
    const byteLength = elementCount(entry.shape) * bytesPerElement(dtype);
    return {
      storage: {
        encoding: 'decoded',
        path: this.variables.index,
        sources: parts,
        decoder: { kind: 'pieces' },
        byteLength,
      },
    };
  }

  private leaveOut(name: string, { shape, dtype }: BundleEntry, reason: string): void {
    this.unreadable.push({ name, shape, dtype: tensorflowType(dtype).name, reason });
  }

  private error(tensor: string, kind: CheckpointError['kind'], reason: string): CheckpointError {
    return new CheckpointError(kind, reason, { file: this.variables.index, tensor });
  }
}

/** Says of weights what TensorFlow computes with them; the biases beside them help. */
function withModules(tensors: readonly Tensor[]): Tensor[] {
  const vectors = new Map<string, number>();
  for (const { name, shape } of tensors) if (shape.length === 1) vectors.set(name, shape[0] ?? 0);
  return tensors.map((tensor) => {
    const { prefix } = nameParts(tensor.name);
    const biases = vectors.get(`${prefix}bias`) ?? vectors.get(`${prefix}biases`);
    const module = tensor.role === 'model' ? variableModule(tensor.name, tensor.shape, biases) : undefined;
    return module === undefined ? tensor : { ...tensor, module };
  });
}

function isCopy(entry: BundleEntry, original: BundleEntry): boolean {
  return (
    entry.checksum === original.checksum &&
    entry.dtype === original.dtype &&
    entry.shape.length === original.shape.length &&
    entry.shape.every((size, axis) => size === original.shape[axis])
  );
}
