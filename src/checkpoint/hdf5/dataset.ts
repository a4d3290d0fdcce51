import { type StorageBytes, type Tensor, elementCount } from '../checkpoint';
import { CheckpointError } from '../errors';
import { requireShape } from '../layout';
import { storedChunks, type StoredChunk } from './chunkIndex';
import { textAttributes } from './attributes';
import { parseDataspace, type Dataspace } from './dataspace';
import { parseDatatype, type ElementType } from './datatype';
import type { Hdf5File } from './file';
import { fillValue } from './fillValue';
import { parseFilters, type Filter } from './filters';
import { parseLayout, type DataLayout } from './layout';
import { MESSAGE, type Message } from './objectHeader';

/** What a dataset is, as far as it can be given: a tensor but for its name, or why there is none. */
export type DatasetContent =
  | { readonly tensor: Pick<Tensor, 'shape' | 'dtype' | 'storage' | 'byteOrder'> }
  | { readonly shape: readonly number[]; readonly dtype: string; readonly reason: string };

/** Values that no byte of the file stands for: HDF5 gives every dataset that was never written its fill value. */
const MAX_UNWRITTEN_BYTES = 256 * 1024 * 1024;
/** DEFLATE cannot shrink data by more than this: larger ratios are lies. */
const MAX_DEFLATE_RATIO = 1032;

/**
 * What a dataset holds; its values stay in the file. Values in other files are never followed.
 *
 * @param untypedAs what bytes without a type of their own are, two for each element (Keras keeps bfloat16 so)
 * @throws CheckpointError `malformed`
 */
export function describeDataset(
  file: Hdf5File,
  messages: readonly Message[],
  untypedAs?: 'bfloat16',
): DatasetContent {
  const body = (type: number) => messages.find((message) => message.type === type)?.body;
  const [space, datatype, layoutBody] = [
    body(MESSAGE.dataspace),
    body(MESSAGE.datatype),
    body(MESSAGE.layout),
  ];
  if (space === undefined || datatype === undefined || layoutBody === undefined)
    return { shape: [], dtype: 'unknown', reason: 'neither a group nor a dataset' };
  const { shape: sizes, limits } = parseDataspace(space);
  const type = withMeaning(file, messages, parseDatatype(datatype), untypedAs);
  const dtype = type.kind === 'number' ? type.dtype : describe(type);
  const unreadable = (reason: string): DatasetContent => ({ shape: sizes ?? [], dtype, reason });
  if (sizes === undefined) return unreadable('holds nothing (a null dataspace)');
  if (body(MESSAGE.externalFiles) !== undefined)
    return unreadable('its values are in other files, which are never followed');
  if (type.kind !== 'number') return unreadable(`elements that are ${dtype} are not read`);
  const shape = requireShape(sizes, type.size);
  const layout = parseLayout(layoutBody);
  const filterBody = body(MESSAGE.filters);
  const filters = filterBody === undefined ? [] : parseFilters(filterBody);
  if ('unread' in filters) return unreadable(`compressed by ${filters.unread}, which is not read`);
  const data = {
    space: { shape, limits },
    elementBytes: type.size,
    fill: fillValue(messages, type.size),
    filters,
  };
  const storage = storageOf(file, layout, data);
  if ('reason' in storage) return unreadable(storage.reason);
  return { tensor: { shape, dtype: type.dtype, storage, ...(type.isBig && { byteOrder: 'big' }) } };
}

function describe(type: Exclude<ElementType, { kind: 'number' }>): string {
  if (type.kind === 'other') return type.what;
  return type.kind === 'opaque' ? `${type.size} bytes without a type` : 'text';
}

function withMeaning(
  file: Hdf5File,
  messages: readonly Message[],
  type: ElementType,
  untypedAs: 'bfloat16' | undefined,
): ElementType {
  if (type.kind !== 'opaque' || type.size !== 2) return type;
  const [stated] = textAttributes(file, messages, (name) => name === 'dtype').get('dtype') ?? [untypedAs];
  return stated === 'bfloat16' ? { kind: 'number', size: 2, dtype: stated, isBig: false } : type;
}

interface Values {
  readonly space: Dataspace & { readonly shape: readonly number[] };
  readonly elementBytes: number;
  readonly fill: readonly number[];
  readonly filters: readonly Filter[];
}

function storageOf(
  file: Hdf5File,
  layout: DataLayout,
  values: Values,
): StorageBytes | { readonly reason: string } {
  const { path } = file.window;
  const byteLength = elementCount(values.space.shape) * values.elementBytes;
  if (layout.kind === 'unread') return layout;
  if (byteLength === 0) return { encoding: 'memory', path, bytes: new Uint8Array(0), byteLength };
  if (layout.kind === 'chunked') return chunkedStorage(file, layout, values, byteLength);
  if (layout.address === undefined) {
    const { shape } = values.space;
    const [starts, chunk] = [[], shape.map((size) => Math.max(1, size))];
    return decodedStorage(file, { ...values, filters: [] }, chunk, starts, byteLength);
  }
  const base = layout.kind === 'compact' ? Math.min(layout.byteLength, byteLength) : byteLength;
  if (base < byteLength || !file.holds(layout.address, byteLength)) {
    const reason = `values of ${byteLength} bytes, which are not all in the file`;
    throw file.error('malformed', reason, layout.address);
  }
  return file.window.storage(file.base + layout.address, byteLength);
}

function chunkedStorage(
  file: Hdf5File,
  layout: Extract<DataLayout, { kind: 'chunked' }>,
  values: Values,
  byteLength: number,
): StorageBytes | { readonly reason: string } {
  const { space, elementBytes, filters } = values;
  const { chunk } = layout;
  if (chunk.length !== space.shape.length || chunk.includes(0))
    throw new CheckpointError('malformed', `chunks of ${chunk.join(' × ')}`, { file: file.window.path });
  const chunkBytes = elementCount(requireShape(chunk, elementBytes)) * elementBytes;
  const data = { layout, space, chunkBytes, isFiltered: filters.length > 0 };
  const chunks: StoredChunk[] = [];
  const starts = new Set<string>();
  let stored = 0;
  for (const found of storedChunks(file, data)) {
    file.countChunk(found.address);
    // What was cut off from a dataset leaves chunks beyond its end.
    if (found.start.some((from, axis) => from >= (space.shape[axis] ?? 0))) continue;
    requireChunk(file, found, chunk, starts);
    stored += found.byteLength;
    chunks.push(withPlainEdge(found, layout, space.shape));
  }
  if (stored > file.window.size)
    throw file.error('malformed', 'chunks that overlap', chunks[0]?.address ?? 0);
  const most = filters.length === 0 ? stored : stored * MAX_DEFLATE_RATIO;
  if (chunks.length * chunkBytes > Math.max(most, MAX_UNWRITTEN_BYTES) && filters.length > 0)
    throw file.error(
      'malformed',
      `${stored} compressed bytes cannot hold ${byteLength}`,
      chunks[0]?.address ?? 0,
    );
  return decodedStorage(file, values, chunk, chunks, byteLength);
}

function requireChunk(
  file: Hdf5File,
  found: StoredChunk,
  chunk: readonly number[],
  starts: Set<string>,
): void {
  const key = found.start.join();
  if (starts.has(key)) throw file.error('malformed', 'a chunk that is given twice', found.address);
  starts.add(key);
  if (found.start.some((from, axis) => from % (chunk[axis] ?? 1) !== 0))
    throw file.error('malformed', 'a chunk that is not in the grid', found.address);
  if (!file.holds(found.address, found.byteLength))
    throw file.error('malformed', `a chunk of ${found.byteLength} bytes, not all in the file`, found.address);
}

/** Chunks that reach beyond the dataset may have been left as they are. */
function withPlainEdge(
  found: StoredChunk,
  { chunk, plainEdges }: Extract<DataLayout, { kind: 'chunked' }>,
  shape: readonly number[],
): StoredChunk {
  const isEdge = found.start.some((from, axis) => from + (chunk[axis] ?? 0) > (shape[axis] ?? 0));
  return plainEdges && isEdge ? { ...found, mask: -1 } : found;
}

function decodedStorage(
  file: Hdf5File,
  { space, elementBytes, fill, filters }: Values,
  chunk: readonly number[],
  chunks: readonly StoredChunk[],
  byteLength: number,
): StorageBytes | { readonly reason: string } {
  const { path } = file.window;
  const held = chunks.length * elementCount(chunk) * elementBytes;
  if (byteLength - held > MAX_UNWRITTEN_BYTES)
    return { reason: `${byteLength} bytes, of which most were never written` };
  const sources = chunks.map(({ address, byteLength: length }, i): Tensor => ({
    name: `chunk ${i}`,
    shape: [length],
    dtype: 'uint8',
    storage: file.window.storage(file.base + address, length),
    role: 'model',
  }));
  const masks = chunks.some(({ mask }) => mask !== 0) ? { masks: chunks.map(({ mask }) => mask) } : {};
  const { shape } = space;
  const starts = chunks.map(({ start }) => start);
  const decoder = { kind: 'chunks', shape, chunk, elementBytes, fill, starts, filters, ...masks } as const;
  return { encoding: 'decoded', path, sources, decoder, byteLength };
}
