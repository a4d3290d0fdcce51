/** Input vectors of a layer, as rows, from the activations that a network computed. */
import { rowMajorStrides } from '../../checkpoint/layout';
import { type ConvolutionWalk, convolutionSizes } from './convolution';

/**
 * Bytes of rows handed on at once. The least is worth a message to another thread and still lies in its cache when it is
 * read there; n rows and more make up for the n × n sums that travel with them; the most is little beside everything else.
 */
const CHUNK_BYTES = { least: 1 << 20, most: 16 << 20 } as const;

/** Where a layer finds its input vectors in the tensor it reads. */
export type InputVectors =
  /** Along the last axis, one for each element of the others: x·Wᵀ. */
  | { readonly kind: 'lastAxis' }
  /** Along the last axis but one: W·x, x's columns. */
  | { readonly kind: 'columns' }
  /** Patches under a kernel. */
  | { readonly kind: 'patches'; readonly walk: ConvolutionWalk };

export interface Activation {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

export interface RowChunk {
  readonly group: number;
  /** rows × n, row-major, of its own. */
  readonly rows: Float32Array;
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Input vectors in an activation of these sizes. */
export function countVectors(vectors: InputVectors, dims: readonly number[]): number {
  switch (vectors.kind) {
    case 'lastAxis':
      return product(dims.slice(0, -1));
    case 'columns':
      return product(dims) / (dims.at(-2) ?? 1);
    case 'patches':
      return (dims[0] ?? 1) * product(convolutionSizes(vectors.walk, dims).output);
  }
}

/**
 * The input vectors of a layer in bounded pieces.
 *
 * @param n length of a vector; of one group's.
 * @param share part of the batch that counts: the rest is padding of the last batch.
 */
export function* inputRows(
  vectors: InputVectors,
  activation: Activation,
  n: number,
  share: number,
): Generator<RowChunk> {
  const { data, dims } = activation;
  switch (vectors.kind) {
    case 'lastAxis':
      yield* slices(data, n, Math.round(countVectors(vectors, dims) * share));
      return;
    case 'columns':
      yield* slices(columnsAsRows(data, n, dims.at(-1) ?? 1), n, Math.round((data.length / n) * share));
      return;
    case 'patches':
      yield* patches(vectors.walk, activation, n, Math.round((dims[0] ?? 1) * share));
  }
}

function rowsPerChunk(n: number): number {
  const bytes = Math.min(CHUNK_BYTES.most, Math.max(CHUNK_BYTES.least, 4 * n * n));
  return Math.max(1, Math.floor(bytes / (4 * n)));
}

function* slices(data: Float32Array, n: number, count: number): Generator<RowChunk> {
  const step = rowsPerChunk(n);
  for (let first = 0; first < count; first += step)
    yield { group: 0, rows: data.slice(first * n, Math.min(count, first + step) * n) };
}

/** … × n × columns to … × columns × n. */
function columnsAsRows(data: Float32Array, n: number, columns: number): Float32Array {
  const rows = new Float32Array(data.length);
  for (let base = 0; base < data.length; base += n * columns)
    for (let i = 0; i < n; i++)
      for (let j = 0; j < columns; j++) rows[base + j * n + i] = data[base + i * columns + j] ?? 0;
  return rows;
}

/**
 * Patches in the order of a kernel's elements (channel, then spatial axes), for every position of the output. Each
 * sample is copied into a padded image first, so that gathering a patch is one table of offsets.
 */
function* patches(
  walk: ConvolutionWalk,
  { data, dims }: Activation,
  n: number,
  samples: number,
): Generator<RowChunk> {
  const sizes = convolutionSizes(walk, dims);
  const perChannel = product(sizes.padded);
  const image = new Float32Array(sizes.channels * perChannel);
  const taps = offsets(walk.kernel, walk.dilations, sizes.padded);
  const positions = offsets(sizes.output, walk.strides, sizes.padded);
  const channels = n / taps.length;
  const table = Int32Array.from({ length: n }, (_, j) => {
    const channel = Math.floor(j / taps.length);
    return channel * perChannel + (taps[j % taps.length] ?? 0);
  });
  const perSample = sizes.channels * product(sizes.input);
  const step = rowsPerChunk(n);
  for (let group = 0; group < walk.groups; group++) {
    const base = group * channels * perChannel;
    const total = samples * positions.length;
    let rows = new Float32Array(Math.min(step, total) * n);
    let filled = 0;
    let done = 0;
    for (let sample = 0; sample < samples; sample++) {
      pad(data.subarray(sample * perSample, (sample + 1) * perSample), sizes, image);
      for (let position = 0; position < positions.length;) {
        const end = Math.min(positions.length, position + rows.length / n - filled);
        gather(image, base, positions.subarray(position, end), table, rows, filled * n);
        filled += end - position;
        done += end - position;
        position = end;
        if (filled * n < rows.length) continue;
        yield { group, rows };
        rows = new Float32Array(Math.min(step, total - done) * n);
        filled = 0;
      }
    }
  }
}

/** Patches at some positions of the padded image. A plain function: generators are compiled late. */
function gather(
  image: Float32Array,
  base: number,
  positions: Int32Array,
  table: Int32Array,
  rows: Float32Array,
  at: number,
): void {
  let to = at;
  /* eslint-disable @typescript-eslint/prefer-for-of -- counting is 1.5 times as fast as iterating here */
  for (let i = 0; i < positions.length; i++) {
    const corner = base + (positions[i] ?? 0);
    for (let j = 0; j < table.length; j++) rows[to++] = image[corner + (table[j] ?? 0)] ?? 0;
  }
  /* eslint-enable @typescript-eslint/prefer-for-of */
}

/** Offsets, in an array of sizes `within`, of a grid with steps, in row-major order. */
function offsets(grid: readonly number[], steps: readonly number[], within: readonly number[]): Int32Array {
  const strides = rowMajorStrides(within);
  let result = [0];
  grid.forEach((size, axis) => {
    const step = (steps[axis] ?? 1) * (strides[axis] ?? 1);
    result = result.flatMap((offset) => Array.from({ length: size }, (_, i) => offset + i * step));
  });
  return Int32Array.from(result);
}

/** Copies channels × input into the middle of channels × padded; the border stays zero. */
function pad(
  sample: Float32Array,
  { input, before, padded, channels }: ReturnType<typeof convolutionSizes>,
  image: Float32Array,
): void {
  const width = input.at(-1) ?? 1;
  const strides = rowMajorStrides(padded);
  const corner = before.reduce((sum, size, axis) => sum + size * (strides[axis] ?? 0), 0);
  const lines = offsets(
    input.slice(0, -1),
    input.slice(0, -1).map(() => 1),
    padded.slice(0, -1),
  );
  const paddedWidth = padded.at(-1) ?? 1;
  const perChannel = product(padded);
  let from = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (const line of lines) {
      const to = channel * perChannel + corner + line * paddedWidth;
      image.set(sample.subarray(from, from + width), to);
      from += width;
    }
  }
}
