/** Which points of a regular grid over [−1, 1]³ lie inside of a solid: a bit each. */
import { CheckpointError } from '../../checkpoint/errors';
import type { Pauses } from '../../network/data/pauses';

/** Points along each axis; 512³ take 16 MiB of bits. */
export const MAX_RESOLUTION = 512;

/** Beside the surface of a solid; a mesh whose surface fills a whole grid of 512³ is noise. */
const MAX_SURFACE_POINTS = 2 ** 26;

/**
 * Points at the centres of `resolution`³ equal cells, x_i = (2i + 1)/resolution − 1, counted with x fastest:
 * index = (z·resolution + y)·resolution + x. A row along x takes whole 32-bit words; its spare bits are 0.
 */
export class OccupancyGrid {
  readonly rowWords: number;
  readonly words: Uint32Array;

  constructor(readonly resolution: number) {
    this.rowWords = Math.ceil(resolution / 32);
    this.words = new Uint32Array(this.rowWords * resolution * resolution);
  }

  get points(): number {
    return this.resolution ** 3;
  }

  /** x, y and z of a point by its index. */
  coordinate(index: number, target: Float32Array, at: number): void {
    const { resolution } = this;
    const row = Math.floor(index / resolution);
    const z = Math.floor(row / resolution);
    target[at] = this.centre(index - row * resolution);
    target[at + 1] = this.centre(row - z * resolution);
    target[at + 2] = this.centre(z);
  }

  centre(cell: number): number {
    return (2 * cell + 1) / this.resolution - 1;
  }

  has(index: number): boolean {
    const row = Math.floor(index / this.resolution);
    const x = index - row * this.resolution;
    return (((this.words[row * this.rowWords + (x >>> 5)] ?? 0) >>> (x & 31)) & 1) === 1;
  }

  /** Puts a point in, or takes it out again. @param row z·resolution + y */
  flip(x: number, row: number): void {
    const word = row * this.rowWords + (x >>> 5);
    this.words[word] = (this.words[word] ?? 0) ^ (1 << (x & 31));
  }

  /** Points inside. */
  count(): number {
    return this.words.reduce((sum, word) => sum + bitsIn(word), 0);
  }

  /**
   * Indices of the points that have another on the other side of the surface among their six neighbours.
   *
   * @throws CheckpointError for surfaces that are as fine as the grid
   */
  async surface(pauses: Pauses): Promise<Uint32Array> {
    const { resolution } = this;
    const blocks: Uint32Array[] = [];
    let count = 0;
    for (let z = 0; z < resolution; z++) {
      if (pauses.isDue) await pauses.pause();
      const block = this.surfaceOfSlice(z);
      blocks.push(block);
      count += block.length;
      if (count > MAX_SURFACE_POINTS)
        throw new CheckpointError('unsupported', `a surface beside ${count} points and more of the grid`);
    }
    const result = new Uint32Array(count);
    let at = 0;
    for (const block of blocks) {
      result.set(block, at);
      at += block.length;
    }
    return result;
  }

  private surfaceOfSlice(z: number): Uint32Array {
    const { resolution, rowWords } = this;
    const found: number[] = [];
    for (let y = 0; y < resolution; y++) {
      const row = z * resolution + y;
      for (let word = 0; word < rowWords; word++) {
        let bits = this.changesAt(row, y, z, word);
        while (bits !== 0) {
          const bit = 31 - Math.clz32(bits & -bits);
          found.push(row * resolution + 32 * word + bit);
          bits &= bits - 1;
        }
      }
    }
    return Uint32Array.from(found);
  }

  /** Bits of a word whose points differ from a neighbour. */
  private changesAt(row: number, y: number, z: number, word: number): number {
    const { resolution, rowWords, words } = this;
    const at = row * rowWords + word;
    const here = words[at] ?? 0;
    const last = resolution - 1;
    const along = (isThere: boolean, offset: number): number =>
      isThere ? here ^ (words[at + offset] ?? 0) : 0;
    const isLast = word + 1 === rowWords;
    const before = word > 0 ? (words[at - 1] ?? 0) >>> 31 : here & 1;
    const after = isLast ? 0 : (words[at + 1] ?? 0) & 1;
    const backward = here ^ ((here << 1) | before);
    const forward = here ^ ((here >>> 1) | (after << 31));
    const used = isLast ? resolution - 32 * word : 32;
    const changes =
      along(y > 0, -rowWords) |
      along(y < last, rowWords) |
      along(z > 0, -rowWords * resolution) |
      along(z < last, rowWords * resolution) |
      backward |
      // The last point of a row has none after it.
      (isLast ? forward & ~(1 << (used - 1)) : forward);
    return used === 32 ? changes : changes & (2 ** used - 1);
  }
}

function bitsIn(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
