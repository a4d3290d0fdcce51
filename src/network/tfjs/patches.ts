/** Windows of a convolution's input as rows: the vectors x of y = W·x, in the order of W's columns. */

/** One entry an axis, for one to three axes. */
export interface ConvolutionGeometry {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** As Keras has it: `same` pads the end by one more where it cannot be even, `causal` only the beginning. */
  readonly padding: 'valid' | 'same' | 'causal';
}

interface Axis {
  readonly input: number;
  readonly output: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
}

/** Rows handed out at once: some tens of megabytes. */
const MAX_CHUNK_ELEMENTS = 8 * 1024 * 1024;

/**
 * All windows of a batch, in chunks of rows × (channels · window) float32, row-major. A row has channel after channel,
 * each with its window in row-major order: a kernel O × I × kh × kw flattened to O × (I·kh·kw) is multiplied with it.
 *
 * @param values batch × axes… × channels, row-major
 */
export function* patchRows(
  values: Float32Array,
  shape: readonly number[],
  geometry: ConvolutionGeometry,
): Generator<Float32Array> {
  const batch = shape[0] ?? 0;
  const channels = shape.at(-1) ?? 0;
  const axes = threeAxes(shape.slice(1, -1), geometry);
  const [depth, height, width] = axes;
  const columns = channels * depth.kernel * height.kernel * width.kernel;
  // A line of windows along the last axis is written at once.
  const lines = batch * depth.output * height.output;
  const lineElements = width.output * columns;
  const linesAtOnce = Math.max(1, Math.floor(MAX_CHUNK_ELEMENTS / Math.max(1, lineElements)));
  for (let first = 0; first < lines; first += linesAtOnce) {
    const count = Math.min(linesAtOnce, lines - first);
    const rows = new Float32Array(count * lineElements);
    for (let line = 0; line < count; line++) {
      writeLine(values, channels, axes, first + line, rows, line * lineElements);
    }
    yield rows;
  }
}

type ThreeAxes = readonly [Axis, Axis, Axis];

function writeLine(
  values: Float32Array,
  channels: number,
  [depth, height, width]: ThreeAxes,
  line: number,
  rows: Float32Array,
  start: number,
): void {
  const sample = Math.floor(line / (depth.output * height.output));
  const z = Math.floor(line / height.output) % depth.output;
  const y = line % height.output;
  const window = depth.kernel * height.kernel * width.kernel;
  const columns = channels * window;
  for (let kz = 0; kz < depth.kernel; kz++) {
    const inputZ = inputAt(depth, z, kz);
    for (let ky = 0; ky < height.kernel && inputZ >= 0; ky++) {
      const inputY = inputAt(height, y, ky);
      if (inputY < 0) continue;
      const lineStart = ((sample * depth.input + inputZ) * height.input + inputY) * width.input;
      for (let kx = 0; kx < width.kernel; kx++) {
        const tap = (kz * height.kernel + ky) * width.kernel + kx;
        for (let x = 0; x < width.output; x++) {
          const inputX = inputAt(width, x, kx);
          if (inputX < 0) continue;
          const from = (lineStart + inputX) * channels;
          const to = start + x * columns + tap;
          for (let c = 0; c < channels; c++) rows[to + c * window] = values[from + c] ?? 0;
        }
      }
    }
  }
}

/** Place in the input of one element of a window; −1 in the padding, where rows stay 0. */
function inputAt({ input, stride, dilation, before }: Axis, output: number, tap: number): number {
  const at = output * stride + tap * dilation - before;
  return at < input ? Math.max(-1, at) : -1;
}

function threeAxes(sizes: readonly number[], geometry: ConvolutionGeometry): ThreeAxes {
  const axes = sizes.map((input, i) => axisOf(input, geometry, i));
  const single: Axis = { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, before: 0 };
  const [a = single, b = single, c = single] = [...new Array<Axis>(3 - axes.length).fill(single), ...axes];
  return [a, b, c];
}

function axisOf(
  input: number,
  { kernel, strides, dilations, padding }: ConvolutionGeometry,
  axis: number,
): Axis {
  const [taps = 1, stride = 1, dilation = 1] = [kernel[axis], strides[axis], dilations[axis]];
  const reach = (taps - 1) * dilation;
  const common = { input, kernel: taps, stride, dilation };
  if (padding === 'same') {
    const output = Math.ceil(input / stride);
    const total = Math.max((output - 1) * stride + reach + 1 - input, 0);
    return { ...common, output, before: Math.floor(total / 2) };
  }
  const before = padding === 'causal' ? reach : 0;
  return { ...common, output: Math.max(0, Math.floor((input + before - reach - 1) / stride) + 1), before };
}
