import { createHash } from 'node:crypto';
import { elementCount, type Checkpoint, type Tensor } from '../checkpoint';
import { bytesPerElement, isFloating } from '../dtype';
import { rowMajorStrides } from '../layout';
import { adaptersByFactor, ownsItsNumbers } from './adapters';
import { isBuffer } from './skipping';

/** The storage a tensor lies in, apart from where in it: raw storages of one file are one. */
function storageKey({ storage }: Tensor): string {
  const { encoding, path } = storage;
  switch (encoding) {
    case 'raw':
      return `raw ${path}`;
    case 'deflate':
      return `deflate ${storage.offset} ${storage.skip} ${path}`;
    case 'utf8':
      return `utf8 ${storage.offset} ${path}`;
    case 'memory':
      return `memory ${contentHash(storage.bytes)}`;
    case 'stack':
      return `stack ${JSON.stringify(storage.parts.map(identityKey))}`;
    case 'decoded':
      return `decoded ${JSON.stringify([storage.sources.map(identityKey), storage.decoder])}`;
    case 'product': {
      const { U, V, ...how } = storage.product;
      return `factors ${JSON.stringify([identityKey(U), identityKey(V), how])}`;
    }
  }
}

const hashes = new WeakMap<Uint8Array, string>();

/** Computed values have no place in a file that would tell them from others: their content does. */
function contentHash(bytes: Uint8Array): string {
  const known = hashes.get(bytes);
  if (known !== undefined) return known;
  const hash = createHash('sha256').update(bytes).digest('hex');
  hashes.set(bytes, hash);
  return hash;
}

/** Byte of the storage (of the file, when raw) at which element [0, …, 0] lies. */
function firstByte({ storage, layout, dtype }: Tensor): number {
  const base = storage.encoding === 'raw' ? storage.offset : 0;
  return base + (layout?.offset ?? 0) * bytesPerElement(dtype);
}

/** Equal for two tensors that are the same elements in the same order and shape: tied weights. */
export function identityKey(tensor: Tensor): string {
  return JSON.stringify([
    storageKey(tensor),
    firstByte(tensor),
    tensor.dtype,
    tensor.shape,
    strides(tensor),
    tensor.byteOrder ?? 'little',
  ]);
}

/** Strides in elements; those of axes of size 1 are never used and count as 0. */
function strides({ shape, layout }: Tensor): number[] {
  const steps = layout?.strides ?? rowMajorStrides(shape);
  return shape.map((size, axis) => (size === 1 ? 0 : (steps[axis] ?? 0)));
}

interface Extent {
  readonly first: number;
  readonly end: number;
  readonly elements: number;
  readonly elementBytes: number;
}

/** The stretch of the storage, in bytes, that a tensor's elements lie in, and how many distinct ones there are. */
function extent(tensor: Tensor): Extent {
  const elementBytes = bytesPerElement(tensor.dtype);
  const steps = strides(tensor);
  const span = tensor.shape.reduce((sum, size, axis) => sum + (size - 1) * (steps[axis] ?? 0), 1);
  const first = firstByte(tensor);
  // An expanded axis (stride 0) repeats its elements.
  const elements = Math.min(span, elementCount(tensor.shape));
  return { first, end: first + span * elementBytes, elements, elementBytes };
}

/**
 * Parameters of a model: elements of its floating-point tensors, shared storages once, optimizer and training state and
 * buffers (running statistics, masks, rotary tables) left out. Those of an adapter are its two matrices'.
 */
export function modelParameters(checkpoint: Checkpoint): number {
  const storages = new Map<string, Extent[]>();
  const byFactor = adaptersByFactor(checkpoint);
  for (const tensor of checkpoint.tensors) {
    if (!ownsItsNumbers(tensor, checkpoint, byFactor)) continue;
    if (!isFloating(tensor.dtype) || isBuffer(tensor)) continue;
    if (elementCount(tensor.shape) === 0) continue;
    const key = storageKey(tensor);
    const extents = storages.get(key);
    if (extents === undefined) storages.set(key, [extent(tensor)]);
    else extents.push(extent(tensor));
  }
  let parameters = 0;
  for (const extents of storages.values()) parameters += distinctElements(extents);
  return parameters;
}

/** Elements in the union of the stretches; overlapping ones count as many as they span, or hold, the fewer. */
function distinctElements(extents: Extent[]): number {
  extents.sort((a, b) => a.first - b.first);
  let total = 0;
  let held = 0;
  let first = 0;
  let end = -1;
  let elementBytes = 1;
  const close = () => {
    if (end > first) total += Math.min(held, Math.floor((end - first) / elementBytes));
  };
  for (const next of extents) {
    if (next.first >= end) {
      close();
      ({ first, end, elementBytes } = next);
      held = next.elements;
    } else {
      end = Math.max(end, next.end);
      held += next.elements;
    }
  }
  close();
  return total;
}

/**
 * Tensors whose bytes are partly those of another one that is not the same weight (views of one storage), by name, and
 * the name of such another. Tensors that lie between each other's elements count as overlapping.
 */
export function overlappingTensors(checkpoint: Checkpoint): ReadonlyMap<string, string> {
  const storages = new Map<
    string,
    { readonly tensor: Tensor; readonly first: number; readonly end: number }[]
  >();
  for (const tensor of checkpoint.tensors) {
    if (elementCount(tensor.shape) === 0) continue;
    const { first, end } = extent(tensor);
    const key = storageKey(tensor);
    const others = storages.get(key);
    if (others === undefined) storages.set(key, [{ tensor, first, end }]);
    else others.push({ tensor, first, end });
  }
  const overlapping = new Map<string, string>();
  for (const extents of storages.values()) {
    let cluster: Tensor[] = [];
    let reached = -1;
    for (const { tensor, first, end } of extents.sort((a, b) => a.first - b.first)) {
      if (first >= reached) {
        noteOverlaps(cluster, overlapping);
        cluster = [];
      }
      cluster.push(tensor);
      reached = Math.max(reached, end);
    }
    noteOverlaps(cluster, overlapping);
  }
  return overlapping;
}

function noteOverlaps(cluster: readonly Tensor[], overlapping: Map<string, string>): void {
  if (cluster.length < 2) return;
  const keys = cluster.map(identityKey);
  // Any other weight will do: the first of all, or the first that is not that one. Thousands of names may be tied.
  const [first, second] = [0, keys.findIndex((key) => key !== keys[0])];
  cluster.forEach((tensor, i) => {
    const other = cluster[keys[i] === keys[first] ? second : first];
    if (other !== undefined) overlapping.set(tensor.name, other.name);
  });
}
