import {
  type StorageBytes,
  type StridedLayout,
  type Tensor,
  type UnreadableTensor,
  elementCount,
} from '../checkpoint';
import { type DType, bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import { columnMajorStrides, isRowMajor, reach, requireShape } from '../layout';
import { numpyDtype } from '../numpyDtype';
import { stateNotes } from '../roles';
import { type FoundTensor, collectTensors } from './collect';
import type { Unpickled } from './machine';
import { importNotes, listGlobals } from './notes';
import { isUntyped, tensorDtype, torchPersistentLoad } from './torchConstructors';
import {
  BytesValue,
  NumpyArrayValue,
  NumpyDtypeValue,
  type PickleValue,
  StorageValue,
  TensorValue,
  TupleValue,
  UnreadableValue,
  integerOf,
  itemsOf,
} from './values';

/** Elements of a view that repeats its storage (stride 0) above which it is not written out: 64 Mi. */
const MAX_EXPANDED_ELEMENTS = 2 ** 26;

/** Where what a pickle refers to lies. */
export interface PickleContext {
  readonly path: string;
  /** Byte of the file at position 0 of the pickle's source, when the source stands in the file as it is. */
  readonly start: number | undefined;
  /** Name of a tensor that is the root itself. */
  readonly rootName: string;
  /** The bytes of a storage. @throws CheckpointError when it is missing or too short. */
  readonly locate: (storage: StorageValue) => LocatedStorage;
  /** Groups of convolutions of a class, where something beside the pickle tells them. */
  readonly groupsOf?: (className: string) => number | undefined;
}

export interface LocatedStorage {
  readonly bytes: StorageBytes;
  /** Where the storage starts within `bytes`, for views of other storages. */
  readonly start?: number;
  readonly byteOrder?: 'big';
}

export interface PickleTensors {
  readonly tensors: readonly Tensor[];
  readonly unreadable: readonly UnreadableTensor[];
  readonly notes: readonly string[];
}

/**
 * The tensors of a pickle that has been read, their views checked against their storages.
 *
 * @throws CheckpointError `malformed` naming the tensor whose description cannot be true; `unsupported` when there
 * is no tensor at all.
 */
export function tensorsOf(unpickled: Unpickled, context: PickleContext): PickleTensors {
  const found = anyTensorsOf(unpickled, context);
  if (found.tensors.length + found.unreadable.length > 0) return found;
  throw noTensors(unpickled, context.path);
}

/** A file without tensors. */
export function noTensors({ notFollowed }: Unpickled, file: string): CheckpointError {
  const names = notFollowed.length === 0 ? '' : `; it names ${listGlobals(notFollowed)} (not followed)`;
  return new CheckpointError('unsupported', `no tensors found${names}`, { file });
}

/** The same where there may be none. */
export function anyTensorsOf({ value, notFollowed }: Unpickled, context: PickleContext): PickleTensors {
  const { found, notes } = collectTensors(value, context.rootName, context.groupsOf);
  const tensors: Tensor[] = [];
  const unreadable: UnreadableTensor[] = [];
  for (const entry of found) {
    const resolved = resolve(entry, context);
    if ('reason' in resolved) unreadable.push(resolved);
    else tensors.push(resolved);
  }
  return { tensors, unreadable, notes: [...notes, ...stateNotes(tensors), ...importNotes(notFollowed)] };
}

function resolve(found: FoundTensor, context: PickleContext): Tensor | UnreadableTensor {
  const { value, name } = found;
  try {
    if (value instanceof TensorValue) return torchTensor(found, value, context);
    if (value instanceof NumpyArrayValue) return numpyTensor(found, value, context);
    if (value instanceof StorageValue) {
      const one = new TensorValue(value, 0, null, new TupleValue([1]), 0);
      return isUntyped(value.type)
        ? notRead(found, 'it is a bare storage without an element type', 'unknown')
        : torchTensor(found, one, context, [value.elements]);
    }
    return { name, shape: shapeForDisplay(value.size), dtype: value.dtype, reason: value.reason };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    throw error.at({ file: context.path, tensor: name, ...positionOf(value, context) });
  }
}

function positionOf(value: FoundTensor['value'], { start }: PickleContext): { offset?: number } {
  if (start === undefined || value instanceof UnreadableValue || value instanceof StorageValue) return {};
  return { offset: start + value.position };
}

function notRead({ name, value }: FoundTensor, reason: string, dtype: string): UnreadableTensor {
  const size = value instanceof StorageValue ? null : value.size;
  return { name, shape: shapeForDisplay(size), dtype, reason };
}

function shapeForDisplay(size: PickleValue): number[] {
  return (itemsOf(size) ?? []).slice(0, 64).flatMap((item) => integerOf(item) ?? []);
}

function torchTensor(
  found: FoundTensor,
  value: TensorValue,
  context: PickleContext,
  size: readonly PickleValue[] | undefined = itemsOf(value.size),
): Tensor | UnreadableTensor {
  // Some writers of tar files put the reference itself where the storage belongs.
  const storage = value.storage instanceof TupleValue ? torchPersistentLoad(value.storage) : value.storage;
  if (!(storage instanceof StorageValue))
    return notRead(found, 'its storage is not kept in this file', 'unknown');
  const { dtype, name: dtypeName } = tensorDtype(storage, value.dtype);
  if (dtype === undefined) return notRead(found, `elements of type ${dtypeName} are not read`, dtypeName);
  const shape = requireShape(size ?? [null], bytesPerElement(dtype));
  const layout = viewLayout(value, shape);
  const located = context.locate(storage);
  const extra = (located.start ?? 0) / bytesPerElement(dtype);
  if (!Number.isInteger(extra))
    throw new CheckpointError('malformed', 'a view that starts within an element');
  const elements = elementCount(shape);
  const end = reach(shape, layout);
  // The storage's own length, which for a view of another one is less than the bytes behind it.
  const ownBytes = isUntyped(storage.type)
    ? storage.elements
    : storage.elements * storageElementBytes(storage, dtype);
  if (end * bytesPerElement(dtype) > Math.min(ownBytes, located.bytes.byteLength - (located.start ?? 0))) {
    throw new CheckpointError('malformed', `reaches element ${end - 1} of a storage of ${ownBytes} bytes`);
  }
  if (elements > end && elements > MAX_EXPANDED_ELEMENTS) {
    return notRead(found, `it repeats ${end} stored elements ${elements} times over`, dtype);
  }
  return finished(found, shape, dtype, located, { offset: layout.offset + extra, strides: layout.strides });
}

function storageElementBytes(storage: StorageValue, dtype: DType): number {
  const own = tensorDtype(storage, undefined).dtype;
  return bytesPerElement(own ?? dtype);
}

function viewLayout(value: TensorValue, shape: readonly number[]): StridedLayout {
  const offset = integerOf(value.offset);
  if (offset === undefined || offset < 0)
    throw new CheckpointError('malformed', 'an offset that is no position');
  const strides = itemsOf(value.stride) ?? [];
  if (strides.length !== shape.length) {
    throw new CheckpointError('malformed', `${strides.length} strides for ${shape.length} axes`);
  }
  const checked = strides.map((stride) => integerOf(stride) ?? -1);
  if (checked.some((stride) => stride < 0)) throw new CheckpointError('malformed', 'a negative stride');
  if (!Number.isSafeInteger(reach(shape, { offset, strides: checked }))) {
    throw new CheckpointError('malformed', 'strides beyond any file');
  }
  return { offset, strides: checked };
}

function numpyTensor(
  found: FoundTensor,
  array: NumpyArrayValue,
  context: PickleContext,
): Tensor | UnreadableTensor {
  const { dtype: type, data } = array;
  if (!(type instanceof NumpyDtypeValue))
    return notRead(found, 'an array without an element type', 'unknown');
  const parsed = type.structured ? undefined : numpyDtype(type.byteOrder + type.code);
  if (parsed === undefined) {
    const name = type.structured ? 'structured' : type.code;
    return notRead(found, `elements of type ${name} are not read`, name);
  }
  const shape = requireShape(itemsOf(array.size) ?? [null], bytesPerElement(parsed.dtype));
  if (!(data instanceof BytesValue) || context.start === undefined) {
    return notRead(found, 'its values are not kept as plain bytes', parsed.dtype);
  }
  const byteLength = elementCount(shape) * bytesPerElement(parsed.dtype);
  if (
    data.encoding === 'raw'
      ? data.length !== byteLength
      : data.length < byteLength || data.length > 2 * byteLength
  ) {
    throw new CheckpointError('malformed', `${data.length} bytes where its shape needs ${byteLength}`);
  }
  const place = { path: context.path, offset: context.start + data.offset, byteLength };
  const bytes: StorageBytes =
    data.encoding === 'raw'
      ? { encoding: 'raw', ...place }
      : { encoding: 'utf8', encodedLength: data.length, ...place };
  const strides = array.fortranOrder ? columnMajorStrides(shape) : undefined;
  const located = { bytes, ...(parsed.byteOrder === undefined ? {} : { byteOrder: parsed.byteOrder }) };
  return finished(
    found,
    shape,
    parsed.dtype,
    located,
    strides === undefined ? undefined : { offset: 0, strides },
  );
}

function finished(
  { name, role, module }: FoundTensor,
  shape: readonly number[],
  dtype: DType,
  { bytes, byteOrder }: LocatedStorage,
  layout: StridedLayout | undefined,
): Tensor {
  const isPlain = layout === undefined || (layout.offset === 0 && isRowMajor(shape, layout.strides));
  return {
    name,
    shape,
    dtype,
    storage: bytes,
    ...(isPlain ? {} : { layout }),
    ...(byteOrder === undefined ? {} : { byteOrder }),
    role,
    ...(module === undefined ? {} : { module }),
  };
}
