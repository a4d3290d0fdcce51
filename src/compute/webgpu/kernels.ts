import {
  blockSide,
  ELEMENTS_PER_THREAD,
  FINISH,
  LARGEST,
  LINES_PER_GROUP,
  PARAMETER_BYTES,
  PARAMETERS,
  productShader,
  SLICE,
  WORDS_PER_THREAD,
  type Parameters,
} from './shaders';
import { entriesBefore, wordsOf, type Band, type Tile, type Tiling } from './tiling';

/** What the numbers of a pass mean. */
export interface Scale {
  /** Bits of the largest magnitude of every line. */
  readonly largest: GPUBuffer;
  readonly slices: number;
  readonly topExponent: number;
  readonly band: Band;
}

/** The products of one weight for some rows of blocks: no more than a GPU does between two looks at the screen. */
export interface ProductPart {
  readonly weight: number;
  readonly firstBlockRow: number;
  readonly endBlockRow: number;
}

/** Multiply-adds of bytes of one submission: milliseconds on a graphics card, tenths of a second on a weak one. */
const PART_WORK = { hardware: 2 ** 35, software: 2 ** 28 };

/** The kernels of the exact Gram matrix, and how they are laid over a matrix. Nothing waits here. */
export class GramKernels {
  private readonly pipelines = new Map<string, GPUComputePipeline>();

  constructor(
    private readonly device: GPUDevice,
    private readonly isSoftware: boolean,
  ) {}

  /** Raises `largest` to the magnitudes of a tile. */
  largest(tiling: Tiling, tile: Tile, elements: GPUBuffer, largest: GPUBuffer): void {
    const across = Math.ceil(tiling.lines / LINES_PER_GROUP);
    const down = Math.ceil(tile.length / ELEMENTS_PER_THREAD);
    this.run('largest', () => LARGEST, parametersOf(tiling, tile), [elements, largest], across, down);
  }

  /** Cuts a tile into slices; adds the squares of what rounding loses to `lost`. */
  slice(
    tiling: Tiling,
    tile: Tile,
    scale: Scale,
    elements: GPUBuffer,
    sliced: GPUBuffer,
    lost: GPUBuffer,
  ): void {
    const across = tiling.paddedLines / LINES_PER_GROUP;
    const down = Math.ceil(wordsOf(tile.length) / WORDS_PER_THREAD);
    const parameters = { ...parametersOf(tiling, tile), ...scaleOf(scale) };
    this.run('slice', () => SLICE, parameters, [elements, scale.largest, sliced, lost], across, down);
  }

  /** The submissions that multiply one tile, for one band. */
  productParts(tiling: Tiling, tile: Tile, { slices, band }: Scale): ProductPart[] {
    const block = blockSide(tiling.side);
    const limit = PART_WORK[this.isSoftware ? 'software' : 'hardware'];
    const parts: ProductPart[] = [];
    const end = Math.ceil(band.to / block);
    for (let weight = 0; weight <= 2 * slices - 2; weight++) {
      const pairs = slices - Math.abs(slices - 1 - weight);
      const workOf = (blockRow: number): number =>
        pairs * (blockRow + 1) * block * block * 4 * wordsOf(tile.length);
      for (let from = band.from / block; from < end;) {
        let work = workOf(from);
        let to = from + 1;
        while (to < end && work + workOf(to) <= limit) work += workOf(to++);
        parts.push({ weight, firstBlockRow: from, endBlockRow: to });
        from = to;
      }
    }
    return parts;
  }

  multiply(
    tiling: Tiling,
    tile: Tile,
    scale: Scale,
    { weight, firstBlockRow, endBlockRow }: ProductPart,
    sliced: GPUBuffer,
    sums: GPUBuffer,
  ): void {
    const parameters = { ...parametersOf(tiling, tile), ...scaleOf(scale), weight, firstBlockRow };
    const { side } = tiling;
    const code = (): string => productShader(side, this.isSoftware);
    const down = endBlockRow - firstBlockRow;
    this.run(`product${side}`, code, parameters, [sliced, sums], endBlockRow, down);
  }

  /** The sums of a band as float64 numbers. */
  finish(tiling: Tiling, scale: Scale, sums: GPUBuffer, gram: GPUBuffer): void {
    const { from, to } = scale.band;
    const limit = this.device.limits.maxComputeWorkgroupsPerDimension;
    for (let firstRow = from; firstRow < to; firstRow += limit) {
      const parameters = { ...parametersOf(tiling), ...scaleOf(scale), firstRow };
      const across = Math.ceil(to / LINES_PER_GROUP);
      this.run(
        'finish',
        () => FINISH,
        parameters,
        [sums, scale.largest, gram],
        across,
        Math.min(limit, to - firstRow),
      );
    }
  }

  clear(buffer: GPUBuffer): void {
    const encoder = this.device.createCommandEncoder();
    encoder.clearBuffer(buffer);
    this.device.queue.submit([encoder.finish()]);
  }

  private run(
    name: string,
    code: () => string,
    parameters: Parameters,
    buffers: readonly GPUBuffer[],
    across: number,
    down: number,
  ): void {
    const pipeline = this.pipeline(name, code);
    const uniform = this.device.createBuffer({
      size: PARAMETER_BYTES,
      usage: GPUBufferUsage.UNIFORM,
      mappedAtCreation: true,
    });
    new Uint32Array(uniform.getMappedRange()).set(PARAMETERS.map((key) => parameters[key]));
    uniform.unmap();
    const entries = [uniform, ...buffers].map((buffer, binding) => ({ binding, resource: { buffer } }));
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(across, down);
    pass.end();
    this.device.queue.submit([encoder.finish()]);
    // It is kept until the submission is done.
    uniform.destroy();
  }

  private pipeline(name: string, code: () => string): GPUComputePipeline {
    const known = this.pipelines.get(name);
    if (known !== undefined) return known;
    const module = this.device.createShaderModule({ label: name, code: code() });
    const compute = { module, entryPoint: 'main' };
    const pipeline = this.device.createComputePipeline({ label: name, layout: 'auto', compute });
    this.pipelines.set(name, pipeline);
    return pipeline;
  }
}

function parametersOf(
  { lines, paddedLines, isWide }: Tiling,
  tile: Tile = { from: 0, length: 0 },
): Parameters {
  return {
    lines,
    paddedLines,
    length: tile.length,
    words: wordsOf(tile.length),
    lineStride: isWide ? tile.length : 1,
    elementStride: isWide ? 1 : lines,
    slices: 0,
    topExponent: 0,
    weight: 0,
    firstBlockRow: 0,
    firstRow: 0,
    endRow: 0,
    bandStart: 0,
  };
}

function scaleOf({ slices, topExponent, band }: Scale): Partial<Parameters> {
  return { slices, topExponent, endRow: band.to, bandStart: entriesBefore(band.from) };
}
