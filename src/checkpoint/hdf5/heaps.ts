import type { Cursor } from './cursor';
import { textOf } from './cursor';
import type { Hdf5File } from './file';

/** Names of one group, or texts of one collection, kept together. */
const MAX_HEAP_BYTES = 64 * 1024 * 1024;

/** The names of an old group (specification III.D). */
export class LocalHeap {
  private constructor(
    private readonly file: Hdf5File,
    private readonly address: number,
    private readonly data: Uint8Array,
  ) {}

  static read(file: Hdf5File, address: number): LocalHeap {
    const header = file.read(address, 8 + 2 * file.sizes.length + file.sizes.offset);
    header.signature('HEAP').skip(4);
    const length = header.length();
    header.skip(file.sizes.length);
    const start = header.place('the names of a group');
    if (length > MAX_HEAP_BYTES) throw file.error('unsupported', `names of ${length} bytes`, address);
    return new LocalHeap(file, start, file.read(start, length).bytes);
  }

  /** @throws CheckpointError `malformed` for a place outside */
  text(offset: number): string {
    const end = offset < this.data.length ? this.data.indexOf(0, offset) : -1;
    if (end === -1) throw this.file.error('malformed', 'a name that is not in the heap', this.address);
    return textOf(this.data.subarray(offset, end));
  }
}

/** Texts of varying length (specification III.E), the collection read last kept at hand. */
export class GlobalHeap {
  private known: { readonly address: number; readonly objects: ReadonlyMap<number, Uint8Array> } | undefined;

  constructor(private readonly file: Hdf5File) {}

  /** An object's bytes. @throws CheckpointError `malformed` when the collection does not have it */
  read(address: number, index: number): Uint8Array {
    if (this.known?.address !== address) this.known = { address, objects: this.collection(address) };
    const found = this.known.objects.get(index);
    if (found === undefined) throw this.file.error('malformed', `no text ${index} in a collection`, address);
    return found;
  }

  private collection(address: number): Map<number, Uint8Array> {
    const { file } = this;
    const headBytes = 8 + file.sizes.length;
    const length = file.read(address, headBytes).signature('GCOL').skip(4).length();
    if (length > MAX_HEAP_BYTES) throw file.error('unsupported', `texts of ${length} bytes`, address);
    const cursor: Cursor = file.read(address, length).skip(headBytes);
    const objects = new Map<number, Uint8Array>();
    while (cursor.remaining >= headBytes) {
      const index = cursor.u16();
      const size = cursor.skip(6).length();
      // Object 0 is the free space at the end.
      if (index === 0) break;
      objects.set(index, cursor.take(size));
      cursor.skip(Math.min(cursor.remaining, (8 - (size % 8)) % 8));
    }
    return objects;
  }
}
