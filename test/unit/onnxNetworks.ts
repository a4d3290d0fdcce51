/** Data in memory, and plain reference arithmetic, for tests of networks in ONNX. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import type { Dataset, NetworkData } from '../../src/network/data/dataset';
import type { RunnableNetwork } from '../../src/network/network';
import { openOnnxNetwork } from '../../src/network/onnx';

export const signal = new AbortController().signal;

export function dataset(values: Float32Array, shape: readonly number[], labels?: Int32Array): Dataset {
  const perSample = shape.reduce((a, b) => a * b, 1);
  return {
    samples: values.length / perSample,
    shape,
    ...(labels === undefined ? {} : { labels }),
    identity: createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex'),
    notes: [],
    read: (from, to) => Promise.resolve(values.slice(from * perSample, to * perSample)),
    dispose: () => Promise.resolve(),
  };
}

/** The same samples for Grams and validation. */
export function both(data: Dataset, batchSize: number): NetworkData {
  return { gram: data, validation: data, batchSize };
}

export function temporaryFile(t: TestContext, name: string, bytes: Uint8Array): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-onnx-'));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const file = path.join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

export async function openNetwork(
  t: TestContext,
  modelPath: string,
  data: NetworkData | undefined,
  checkpoint?: string,
): Promise<RunnableNetwork> {
  const backend = createWasmBackend(1);
  t.after(() => backend.dispose());
  const network = await openOnnxNetwork({
    model: modelPath,
    data,
    backend,
    signal,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  });
  t.after(() => network.dispose());
  return network;
}

/** Every layer's Gram, and how many vectors went in. */
export async function allGrams(
  network: RunnableNetwork,
): Promise<{ readonly gram: Float64Array; readonly vectors: number }[]> {
  const grams: { gram: Float64Array; vectors: number }[] = [];
  await network.inputGrams(
    network.layers.map((_, layer) => layer),
    ({ layer, gram, vectors }) => {
      grams[layer] = { gram, vectors };
      return Promise.resolve();
    },
    signal,
  );
  return grams;
}

/** Σ x·xᵀ over rows of length n. */
export function gramOf(rows: readonly (readonly number[])[], n: number): Float64Array {
  const gram = new Float64Array(n * n);
  for (const row of rows)
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) gram[i * n + j] = (gram[i * n + j] ?? 0) + (row[i] ?? 0) * (row[j] ?? 0);
  return gram;
}

/** Largest difference, relative to the largest magnitude of `expected`. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let largest = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs((actual[i] ?? NaN) - (expected[i] ?? NaN)));
    scale = Math.max(scale, Math.abs(expected[i] ?? 0));
    if (Number.isNaN(actual[i])) return NaN;
  }
  return largest / Math.max(scale, 1e-300);
}

export interface Kernel {
  readonly weight: readonly number[];
  readonly outputs: number;
  readonly perGroup: number;
  readonly size: readonly [number, number];
  readonly groups: number;
  readonly stride: readonly [number, number];
  /** Top, left, bottom, right. */
  readonly pads: readonly [number, number, number, number];
  readonly dilation: readonly [number, number];
}

/** Patches of one image (channels × height × width), by group, in the order of the output's positions. */
export function patchesOf(
  image: readonly number[],
  [channels, height, width]: readonly [number, number, number],
  kernel: Kernel,
): number[][][] {
  const { size, groups, stride, pads, dilation, perGroup } = kernel;
  const rows = Math.floor((height + pads[0] + pads[2] - (size[0] - 1) * dilation[0] - 1) / stride[0]) + 1;
  const columns = Math.floor((width + pads[1] + pads[3] - (size[1] - 1) * dilation[1] - 1) / stride[1]) + 1;
  const at = (c: number, y: number, x: number): number =>
    c < channels && y >= 0 && y < height && x >= 0 && x < width
      ? (image[(c * height + y) * width + x] ?? 0)
      : 0;
  return Array.from({ length: groups }, (_, g) => {
    const patches: number[][] = [];
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const patch: number[] = [];
        for (let c = 0; c < perGroup; c++)
          for (let a = 0; a < size[0]; a++)
            for (let b = 0; b < size[1]; b++)
              patch.push(
                at(
                  g * perGroup + c,
                  i * stride[0] + a * dilation[0] - pads[0],
                  j * stride[1] + b * dilation[1] - pads[1],
                ),
              );
        patches.push(patch);
      }
    return patches;
  });
}

/** outputs × positions, row-major. */
export function convolve(patches: readonly (readonly (readonly number[])[])[], kernel: Kernel): number[] {
  const { outputs, groups, weight } = kernel;
  const n = weight.length / outputs;
  const perGroup = outputs / groups;
  const result: number[] = [];
  for (let o = 0; o < outputs; o++)
    for (const patch of patches[Math.floor(o / perGroup)] ?? [])
      result.push(patch.reduce((sum, x, k) => sum + x * (weight[o * n + k] ?? 0), 0));
  return result;
}

/** W·x + b, W m × n. */
export function affine(weight: ArrayLike<number>, bias: readonly number[], x: readonly number[]): number[] {
  return bias.map((b, i) => x.reduce((sum, value, j) => sum + value * (weight[i * x.length + j] ?? 0), b));
}

export function argmax(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}
