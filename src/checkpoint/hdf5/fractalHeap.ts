import type { Hdf5File } from './file';
import { bytesFor, recordsOf } from './tree2';

/** One link or attribute; attributes kept apart may be long, such as a model's configuration. */
const MAX_OBJECT_BYTES = 64 * 1024 * 1024;

interface Shape {
  readonly width: number;
  readonly start: number;
  readonly maxDirect: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Links or attributes of an object that has many of them (specification III.G). */
export class FractalHeap {
  private constructor(
    private readonly file: Hdf5File,
    private readonly address: number,
    private readonly shape: Shape,
    private readonly root: number | undefined,
    private readonly rows: number,
    private readonly hugeTree: number | undefined,
  ) {}

  /** @throws CheckpointError `unsupported` for heaps that are compressed */
  static read(file: Hdf5File, address: number): FractalHeap {
    const { offset, length } = file.sizes;
    const head = file
      .read(address, 26 + 3 * offset + 12 * length)
      .signature('FRHP')
      .skip(1);
    head.skip(2); // length of IDs, which come with the records
    if (head.u16() !== 0) throw file.error('unsupported', 'links or attributes that are compressed', address);
    head.skip(1);
    const maxObject = head.u32();
    head.skip(length);
    const hugeTree = head.offset();
    head.skip(length + offset + 8 * length);
    const width = head.u16();
    const start = head.length();
    const maxDirect = head.length();
    const bits = head.u16();
    head.skip(2);
    const root = head.offset();
    const rows = head.u16();
    const isPower = (value: number): boolean => value > 0 && Number.isInteger(Math.log2(value));
    if (
      !isPower(width) ||
      !isPower(start) ||
      !isPower(maxDirect) ||
      start > maxDirect ||
      bits > 64 ||
      rows > 64
    )
      throw file.error('malformed', 'a heap of impossible sizes', address);
    const shape: Shape = {
      width,
      start,
      maxDirect,
      offsetBytes: Math.ceil(bits / 8),
      lengthBytes: Math.min(Math.ceil(Math.log2(maxDirect) / 8), bytesFor(maxObject)),
    };
    return new FractalHeap(file, address, shape, root, rows, hugeTree);
  }

  /** The object of an ID (specification III.G, "Fractal Heap IDs"). */
  object(id: Uint8Array): Uint8Array {
    const kind = ((id[0] ?? 0) >> 4) & 3;
    if (kind === 0) return this.managed(id);
    if (kind === 1) return this.huge(id);
    const length = ((id[0] ?? 0) & 0x0f) + 1;
    if (kind === 2 && length < id.length) return id.subarray(1, 1 + length);
    throw this.file.error('malformed', 'an object of no known kind', this.address);
  }

  private managed(id: Uint8Array): Uint8Array {
    const { offsetBytes, lengthBytes } = this.shape;
    const offset = unsigned(id, 1, offsetBytes);
    const length = unsigned(id, 1 + offsetBytes, lengthBytes);
    const block = this.blockOf(offset);
    if (!Number.isSafeInteger(offset) || offset - block.start + length > block.size)
      throw this.file.error('malformed', 'an object that leaves its block', block.address);
    return this.file.read(block.address + offset - block.start, length).bytes;
  }

  /** The direct block that holds a place in the heap: found through the blocks of blocks (III.G, "Doubling Table"). */
  private blockOf(offset: number): {
    readonly address: number;
    readonly start: number;
    readonly size: number;
  } {
    const { width, start, maxDirect, offsetBytes } = this.shape;
    const { sizes } = this.file;
    const directRows = Math.log2(maxDirect / start) + 2;
    let [address, rows, begin] = [this.root, this.rows, 0];
    if (rows === 0 && address !== undefined) return { address, start: 0, size: start };
    while (address !== undefined) {
      const within = offset - begin;
      const row = within < width * start ? 0 : Math.floor(Math.log2(within / (width * start))) + 1;
      const size = row === 0 ? start : start * 2 ** (row - 1);
      const rowStart = row === 0 ? 0 : width * size;
      const column = Math.floor((within - rowStart) / size);
      if (row >= rows || column < 0 || column >= width) break;
      const entries = address + 5 + sizes.offset + offsetBytes;
      this.file.read(address, 4).signature('FHIB');
      const child = this.file.read(entries + (row * width + column) * sizes.offset, sizes.offset).offset();
      begin += rowStart + column * size;
      if (row < directRows) {
        if (child === undefined) break;
        this.file.read(child, 4).signature('FHDB');
        return { address: child, start: begin, size };
      }
      // A block of blocks has fewer rows than the one it is in: its own size says how many.
      const below = Math.log2(size / (start * width)) + 1;
      if (!(below < rows)) break;
      [address, rows] = [child, below];
    }
    throw this.file.error('malformed', 'an object that is in no block of its heap', this.address);
  }

  /** Objects too large for blocks are found by their number. */
  private huge(id: Uint8Array): Uint8Array {
    const { file, hugeTree } = this;
    const wanted = unsigned(id, 1, Math.min(id.length - 1, file.sizes.length));
    if (hugeTree !== undefined) {
      for (const record of recordsOf(file, hugeTree, 1)) {
        const place = record.place('a large object');
        const length = record.length();
        if (record.length() !== wanted) continue;
        if (length > MAX_OBJECT_BYTES) throw file.error('unsupported', `an object of ${length} bytes`, place);
        return file.read(place, length).bytes;
      }
    }
    throw file.error('malformed', 'a large object that is not there', this.address);
  }
}

function unsigned(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = width - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] ?? 0);
  return value;
}
