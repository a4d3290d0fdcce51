import type { DeviceMatrix, DeviceSpectrum } from '../device/device';
import { Turnstile } from '../device/turnstile';
import { OutOfMemory, type GpuWork } from './gpuWork';
import { GramKernels } from './kernels';
import { LINES_PER_GROUP, WORDS_PER_THREAD } from './shaders';
import {
  entriesBefore,
  PORTIONS,
  SUM_BYTES,
  tilingOf,
  wordsOf,
  type Portions,
  type Tile,
  type Tiling,
} from './tiling';

/** Bytes of a fixed-point number: what float16 and bfloat16 hold fits the shorter one, float32 wants the longer. */
type Slices = 4 | 5;

/** Rounding to fixed point may move singular values by this share of σ₁; beyond, more slices are taken. */
const TOLERATED = 5e-9;

/** One is being sent and looked through while another is multiplied. */
const AT_ONCE = 2;

/** Bit pattern of infinity; NaN's are above it. */
const INFINITE = 0x7f800000;

/** Elements of a matrix tile by tile, each contiguous as the kernels read it. */
class TileSource {
  private scratch = new Float32Array(0);

  constructor(
    private readonly values: Float32Array,
    private readonly tiling: Tiling,
  ) {}

  at({ from, length }: Tile): Float32Array {
    const { lines, long, isWide } = this.tiling;
    if (!isWide) return this.values.subarray(from * lines, (from + length) * lines);
    if (length === long) return this.values;
    if (this.scratch.length < lines * length) this.scratch = new Float32Array(lines * length);
    for (let i = 0; i < lines; i++) {
      const start = i * long + from;
      this.scratch.set(this.values.subarray(start, start + length), i * length);
    }
    return this.scratch.subarray(0, lines * length);
  }
}

/** The buffers of one call, which end with it. */
class Buffers {
  private readonly all: GPUBuffer[] = [];

  constructor(
    private readonly work: GpuWork,
    private readonly signal: AbortSignal,
  ) {}

  async create(bytes: number, usage = 0): Promise<GPUBuffer> {
    const every = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | usage;
    const buffer = await this.work.createBuffer(Math.max(16, bytes), every, this.signal);
    this.all.push(buffer);
    return buffer;
  }

  destroy(): void {
    for (const buffer of this.all) buffer.destroy();
  }
}

/**
 * The Gram matrix of the smaller side of float32 matrices, exact but for the rounding of their elements to 39-bit
 * fixed-point numbers in the units of their line (31-bit where they were half precision), which is measured: what it
 * can do to a singular value is ‖rounding‖_F at most (Weyl), held against a lower bound of σ₁.
 */
export class SlicedGram {
  private readonly kernels: GramKernels;
  private readonly gate = new Turnstile(AT_ONCE);

  constructor(
    private readonly work: GpuWork,
    private readonly isSoftware: boolean,
    private readonly portions: Portions = PORTIONS,
  ) {
    this.kernels = new GramKernels(work.device, isSoftware);
  }

  async spectrum({ rows, columns, values }: DeviceMatrix, signal: AbortSignal): Promise<DeviceSpectrum> {
    this.work.check(signal);
    if (!(values instanceof Float32Array)) return { kind: 'refused', reason: 'its elements are float64' };
    if (rows * columns === 0) {
      const entries = entriesBefore(Math.min(rows, columns));
      return { kind: 'gram', gram: new Float64Array(entries) };
    }
    const { limits } = this.work.device;
    const tiling = tilingOf(rows, columns, limits, this.isSoftware, this.portions);
    if (typeof tiling === 'string') return { kind: 'refused', reason: tiling };
    const leave = await this.entered(signal);
    const buffers = new Buffers(this.work, signal);
    try {
      return await new OneGram(this.work, this.kernels, tiling, values, buffers, signal).spectrum();
    } catch (error) {
      if (!(error instanceof OutOfMemory)) throw error;
      return { kind: 'refused', reason: "the graphics card's memory is full" };
    } finally {
      buffers.destroy();
      leave();
    }
  }

  private async entered(signal: AbortSignal): Promise<() => void> {
    const entering = this.gate.enter();
    try {
      return await this.work.wait(entering, signal);
    } catch (error) {
      // The turn comes all the same, and is passed on.
      void entering.then((leave) => {
        leave();
      });
      throw error;
    }
  }
}

/** One matrix on its way through the device. */
class OneGram {
  private readonly source: TileSource;
  private readonly resident = new Map<Tile, GPUBuffer>();
  private readonly pace: ReturnType<GpuWork['pace']>;

  constructor(
    private readonly work: GpuWork,
    private readonly kernels: GramKernels,
    private readonly tiling: Tiling,
    values: Float32Array,
    private readonly buffers: Buffers,
    private readonly signal: AbortSignal,
  ) {
    this.source = new TileSource(values, tiling);
    this.pace = work.pace(signal);
  }

  async spectrum(): Promise<DeviceSpectrum> {
    const { lines } = this.tiling;
    const largest = await this.buffers.create(4 * (lines + 1), GPUBufferUsage.COPY_SRC);
    for (const tile of this.tiling.tiles)
      await this.withTile(tile, (elements) => {
        this.kernels.largest(this.tiling, tile, elements, largest);
      });
    const bits = new Uint32Array(lines + 1);
    await this.work.read(largest, bits.byteLength, new Uint8Array(bits.buffer), this.signal);
    const most = bits.subarray(0, lines).reduce((a, b) => Math.max(a, b), 0);
    if (most >= INFINITE) return { kind: 'nonFinite' };
    const topExponent = Math.max(1, most >>> 23);
    const isHalf = bits[lines] === 0;
    for (const slices of isHalf ? ([4, 5] as const) : ([5] as const)) {
      const { gram, rounding } = await this.sliced(slices, largest, topExponent);
      // Not above σ₁: the longest line, and the root of the mean squared singular value.
      const least = Math.sqrt(Math.max(largestDiagonal(gram, lines), trace(gram, lines) / lines));
      if (rounding <= TOLERATED * least) return { kind: 'gram', gram };
    }
    return { kind: 'refused', reason: 'its elements are too far apart in size for the graphics card' };
  }

  private async sliced(
    slices: Slices,
    largest: GPUBuffer,
    topExponent: number,
  ): Promise<{ gram: Float64Array; rounding: number }> {
    const { lines, paddedLines, tiles, bands } = this.tiling;
    const words = Math.max(...tiles.map(({ length }) => wordsOf(length)));
    const groups = (paddedLines / LINES_PER_GROUP) * Math.ceil(words / WORDS_PER_THREAD);
    const entries = Math.max(...bands.map(({ from, to }) => entriesBefore(to) - entriesBefore(from)));
    const sliced = await this.buffers.create(4 * slices * words * paddedLines);
    const lost = await this.buffers.create(4 * groups, GPUBufferUsage.COPY_SRC);
    const sums = await this.buffers.create(SUM_BYTES * entries);
    const bandGram = await this.buffers.create(8 * entries, GPUBufferUsage.COPY_SRC);
    const gram = new Float64Array(entriesBefore(lines));
    const bytes = new Uint8Array(gram.buffer);
    for (const [i, band] of bands.entries()) {
      if (i > 0) this.kernels.clear(sums);
      const scale = { largest, slices, topExponent, band };
      for (const tile of tiles)
        await this.withTile(tile, async (elements) => {
          this.kernels.slice(this.tiling, tile, scale, elements, sliced, lost);
          for (const part of this.kernels.productParts(this.tiling, tile, scale)) {
            this.kernels.multiply(this.tiling, tile, scale, part, sliced, sums);
            await this.pace.next();
          }
        });
      this.kernels.finish(this.tiling, scale, sums, bandGram);
      const [start, end] = [entriesBefore(band.from), entriesBefore(band.to)];
      await this.work.read(bandGram, 8 * (end - start), bytes.subarray(8 * start), this.signal);
    }
    const squares = new Float32Array(groups);
    await this.work.read(lost, squares.byteLength, new Uint8Array(squares.buffer), this.signal);
    for (const buffer of [sliced, lost, sums, bandGram]) buffer.destroy();
    // Every band cuts the same slices, and sums the same losses.
    const square = squares.reduce((sum, value) => sum + value, 0) / bands.length;
    return { gram, rounding: Math.sqrt(square) * 2 ** (topExponent - 124 - 8 * slices) };
  }

  /** Sends a tile's elements, unless they are there, and lets them go after their use, unless they stay. */
  private async withTile(tile: Tile, use: (elements: GPUBuffer) => void | Promise<void>): Promise<void> {
    let elements = this.resident.get(tile);
    const isNew = elements === undefined;
    if (elements === undefined) {
      elements = await this.buffers.create(4 * this.tiling.lines * tile.length);
      this.work.check(this.signal);
      const values = this.source.at(tile);
      // The values are copied before it returns; the GPU takes them over while it computes.
      this.work.device.queue.writeBuffer(elements, 0, values.buffer, values.byteOffset, values.byteLength);
      if (this.tiling.isResident) this.resident.set(tile, elements);
    }
    await use(elements);
    if (isNew) await this.pace.next();
    // What was submitted with it is carried out first.
    if (!this.tiling.isResident) elements.destroy();
  }
}

function largestDiagonal(gram: Float64Array, n: number): number {
  let most = 0;
  for (let i = 0; i < n; i++) most = Math.max(most, gram[entriesBefore(i) + i] ?? 0);
  return most;
}

function trace(gram: Float64Array, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += gram[entriesBefore(i) + i] ?? 0;
  return sum;
}
