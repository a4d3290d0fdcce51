import type { DType } from '../dtype';
import { CheckpointError } from '../errors';
import type { Constructor } from './constructors';
import {
  BytesValue,
  DictValue,
  GlobalValue,
  NumpyArrayValue,
  type PickleValue,
  StorageValue,
  TensorValue,
  TupleValue,
  UnreadableValue,
  describeValue,
  integerOf,
  itemsOf,
} from './values';

/** Element types by their names in the module `torch`; undefined: known, but no plain number. */
export const TORCH_DTYPES: ReadonlyMap<string, DType | undefined> = new Map<string, DType | undefined>([
  ['float64', 'float64'],
  ['double', 'float64'],
  ['float32', 'float32'],
  ['float', 'float32'],
  ['float16', 'float16'],
  ['half', 'float16'],
  ['bfloat16', 'bfloat16'],
  ['float8_e4m3fn', 'float8_e4m3fn'],
  ['float8_e5m2', 'float8_e5m2'],
  ['int64', 'int64'],
  ['long', 'int64'],
  ['int32', 'int32'],
  ['int', 'int32'],
  ['int16', 'int16'],
  ['short', 'int16'],
  ['int8', 'int8'],
  ['uint64', 'uint64'],
  ['uint32', 'uint32'],
  ['uint16', 'uint16'],
  ['uint8', 'uint8'],
  ['bool', 'bool'],
  ['complex64', 'complex64'],
  ['cfloat', 'complex64'],
  ['complex128', 'complex128'],
  ['cdouble', 'complex128'],
  ...['float8_e4m3fnuz', 'float8_e5m2fnuz', 'float8_e8m0fnu', 'float4_e2m1fn_x2', 'complex32', 'chalf'].map(
    (name): [string, undefined] => [name, undefined],
  ),
  ...['qint8', 'quint8', 'qint32', 'quint4x2', 'quint2x4'].map((name): [string, undefined] => [
    name,
    undefined,
  ]),
]);

/** Element types by storage class; undefined: untyped or quantised. */
export const STORAGE_DTYPES: ReadonlyMap<string, DType | undefined> = new Map<string, DType | undefined>([
  ['DoubleStorage', 'float64'],
  ['FloatStorage', 'float32'],
  ['HalfStorage', 'float16'],
  ['BFloat16Storage', 'bfloat16'],
  ['LongStorage', 'int64'],
  ['IntStorage', 'int32'],
  ['ShortStorage', 'int16'],
  ['CharStorage', 'int8'],
  ['ByteStorage', 'uint8'],
  ['BoolStorage', 'bool'],
  ['ComplexFloatStorage', 'complex64'],
  ['ComplexDoubleStorage', 'complex128'],
  ['UntypedStorage', undefined],
  ['TypedStorage', undefined],
  ['_UntypedStorage', undefined],
  ['_TypedStorage', undefined],
  ...['QInt8Storage', 'QUInt8Storage', 'QInt32Storage', 'QUInt4x2Storage', 'QUInt2x4Storage'].map(
    (name): [string, undefined] => [name, undefined],
  ),
]);

/** Storage classes that count their elements in bytes. */
export function isUntyped(storageType: string): boolean {
  return storageType === 'UntypedStorage' || storageType === '_UntypedStorage';
}

/**
 * `("storage", class, key, location, elements[, view])` of torch.save, where `view` is `(key, offset, elements)`;
 * `("module", class, source file, source text)` of old whole-module files stands for its class.
 *
 * @throws CheckpointError `malformed` for anything else.
 */
export function torchPersistentLoad(id: PickleValue): PickleValue {
  const [tag, type, key, , elements, view] = itemsOf(id) ?? [];
  if (tag === 'module' && type !== undefined) return type;
  if (tag === 'storage' && type instanceof GlobalValue && key !== undefined) {
    const count = integerOf(elements ?? null);
    const keyText = keyOf(key);
    if (count !== undefined && count >= 0 && keyText !== undefined) {
      return storageOf(type.name, keyText, count, view ?? null);
    }
  }
  throw new CheckpointError('malformed', 'pickle: a reference that is not to a storage');
}

/** The text of a storage key; old files use numbers. */
export function keyOf(key: PickleValue): string | undefined {
  if (typeof key === 'string') return key;
  return typeof key === 'number' || typeof key === 'bigint' ? String(key) : undefined;
}

function storageOf(type: string, key: string, elements: number, view: PickleValue): StorageValue {
  if (view === null) return new StorageValue(type, key, elements);
  const [viewKey, offset, viewElements] = itemsOf(view) ?? [];
  const viewKeyText = keyOf(viewKey ?? null);
  const start = integerOf(offset ?? null);
  const count = integerOf(viewElements ?? null);
  if (viewKeyText === undefined || start === undefined || count === undefined || start < 0 || count < 0) {
    throw new CheckpointError('malformed', 'pickle: a view of a storage without key, offset and size');
  }
  return new StorageValue(type, key, elements, { key: viewKeyText, offset: start, elements: count });
}

/** `_rebuild_tensor(_v2)(storage, offset, size, stride, requires_grad, hooks, metadata)` */
const tensor: Constructor = ([storage, offset, size, stride, , , metadata], machine) => {
  if (storage === undefined || offset === undefined || size === undefined || stride === undefined)
    return undefined;
  if (metadata instanceof DictValue && [...metadata.entries.values()].includes(true)) {
    return new UnreadableValue('its values are to be conjugated or negated when loaded', 'unknown', size);
  }
  return new TensorValue(storage, offset, size, stride, machine.source.position);
};

/** `_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, metadata)` */
const tensorWithDtype: Constructor = ([storage, offset, size, stride, , , dtype], machine) => {
  if (storage === undefined || offset === undefined || size === undefined || stride === undefined)
    return undefined;
  if (dtype === undefined) return undefined;
  return new TensorValue(storage, offset, size, stride, machine.source.position, dtype);
};

/** Constructors whose first argument already is the tensor. */
const firstTensor: Constructor = ([data]) =>
  data instanceof TensorValue || data instanceof NumpyArrayValue || data instanceof UnreadableValue
    ? data
    : undefined;

/** `_rebuild_from_type_v2(function, type, args, state)`: subclasses of Tensor. */
const fromType: Constructor = ([rebuild, , args], machine) =>
  rebuild instanceof GlobalValue && args instanceof TupleValue ? machine.construct(rebuild, args) : undefined;

function unreadable(
  reason: string,
  size: (args: readonly PickleValue[]) => PickleValue | undefined,
): Constructor {
  return (args) => new UnreadableValue(reason, 'unknown', size(args) ?? null);
}

/** A tensor without its values: `(dtype, size, stride, requires_grad)` */
const meta: Constructor = ([dtype, size]) =>
  new UnreadableValue(
    'it was saved without values (meta device)',
    dtype instanceof GlobalValue ? dtype.name : 'unknown',
    size ?? null,
  );

const sparseSize = ([, data]: readonly PickleValue[]): PickleValue | undefined => itemsOf(data ?? null)?.[2];

/** `torch.Size(tuple)` and `torch.jit._pickle.build_intlist(list)` are their argument. */
const sequence: Constructor = ([items]) =>
  items !== undefined && itemsOf(items) !== undefined ? items : undefined;

/** A storage pickled within the pickle; its bytes are a torch file of their own. */
const nestedStorage: Constructor = ([bytes]) => (bytes instanceof BytesValue ? bytes : undefined);

const placeholder: Constructor = () => undefined;

export const TORCH_CONSTRUCTORS: ReadonlyMap<string, Constructor> = new Map<string, Constructor>([
  ['torch._utils._rebuild_tensor', tensor],
  ['torch._utils._rebuild_tensor_v2', tensor],
  ['torch._utils._rebuild_tensor_v3', tensorWithDtype],
  ['torch._utils._rebuild_parameter', firstTensor],
  ['torch._utils._rebuild_parameter_with_state', firstTensor],
  ['torch._utils._rebuild_device_tensor_from_numpy', firstTensor],
  ['torch._utils._rebuild_device_tensor_from_cpu_tensor', firstTensor],
  ['torch._tensor._rebuild_from_type', fromType],
  ['torch._tensor._rebuild_from_type_v2', fromType],
  ['torch.nn.parameter.Parameter', firstTensor],
  ['torch.nn.parameter.Buffer', firstTensor],
  ['torch.Tensor', placeholder],
  ['torch._utils._rebuild_sparse_tensor', unreadable('it is sparse', sparseSize)],
  ['torch._utils._rebuild_sparse_csr_tensor', unreadable('it is sparse', sparseSize)],
  ['torch._utils._rebuild_nested_tensor', unreadable('it is a nested tensor', () => undefined)],
  ['torch._utils._rebuild_qtensor', unreadable('it is quantised', ([, , size]) => size)],
  ['torch._utils._rebuild_wrapper_subclass', unreadable('it wraps another tensor', ([, , size]) => size)],
  ['torch._utils._rebuild_meta_tensor_no_storage', meta],
  ['torch.Size', sequence],
  ['torch.jit._pickle.build_intlist', sequence],
  ['torch.jit._pickle.build_doublelist', sequence],
  ['torch.jit._pickle.build_boollist', sequence],
  ['torch.jit._pickle.build_tensorlist', sequence],
  ['torch.storage._load_from_bytes', nestedStorage],
  ['torch.device', placeholder],
  ['torch.serialization._get_layout', placeholder],
  ['torch.per_tensor_affine', placeholder],
  ['torch.per_channel_affine', placeholder],
]);

/** The element type a tensor has, or the name of one that is not read. */
export function tensorDtype(
  storage: StorageValue,
  dtype: PickleValue | undefined,
): { dtype?: DType; name: string } {
  if (dtype === undefined) {
    const known = STORAGE_DTYPES.get(storage.type);
    return known === undefined ? { name: storage.type } : { dtype: known, name: known };
  }
  const name = dtype instanceof GlobalValue ? dtype.name : describeValue(dtype);
  const known =
    dtype instanceof GlobalValue && dtype.module === 'torch' ? TORCH_DTYPES.get(dtype.name) : undefined;
  return known === undefined ? { name } : { dtype: known, name };
}
