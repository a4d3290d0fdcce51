/** What `make_builtin.py` wrote, and the numbers that it was made from. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { BuiltinNetworkRecipe, FormRecipe, LayerForm } from '../../src/network/builtin/recipe';
import { generatedMatrix } from './generated';
import { ROOT } from './references';

/** Norm of a vector, and its products with two others. */
export type Probe = readonly [number, number, number];

export interface BuiltinCase {
  readonly name: string;
  readonly recipe: BuiltinNetworkRecipe;
  readonly forms?: readonly FormRecipe[];
  readonly batch: number;
  readonly training?: boolean;
  /** Of all parameters and running statistics while every layer is dense. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly inner: readonly string[];
  readonly outputs: readonly number[];
  readonly gradients: Readonly<Record<string, Probe>>;
  /** The next ones, after a pass in training. */
  readonly statistics: Readonly<Record<string, Probe>>;
  /** Largest difference of PyTorch's float32 to the float64 that is stored, as a share of the norm. */
  readonly rounding: number;
}

/** inputs, outputs, kernel, stride, padding, groups, height, width. */
export type ConvolutionSizes = readonly [number, number, number, number, number, number, number, number];

export interface ConvolutionCase {
  readonly sizes: ConvolutionSizes;
  readonly form: LayerForm;
  readonly outputs: Probe;
  readonly gradients: Readonly<Record<string, Probe>>;
}

export interface BuiltinReferences {
  readonly cases: readonly BuiltinCase[];
  readonly convolutions: readonly ConvolutionCase[];
}

export function builtinReferences(): BuiltinReferences {
  const text = readFileSync(path.join(ROOT, 'test/reference/builtin.json'), 'utf8');
  // The file is the project's own, made by make_builtin.py in this shape.
  return JSON.parse(text) as BuiltinReferences;
}

/** Numbers left out at the beginning of a stream: those of seeds that differ little are like each other. */
const SKIPPED = 16;

/** Uniform on (−1, 1), by a name. */
export function numbers(name: string, count: number): Float32Array {
  let seed = 0x811c9dc5;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 0x01000193) >>> 0;
  const columns = count + SKIPPED;
  return generatedMatrix({ name, kind: 'dense', rows: 1, columns, seed: seed === 0 ? 1 : seed }).subarray(
    SKIPPED,
  );
}

/** The value of a parameter, by its name and shape. */
export function valuesOf(name: string, shape: readonly number[]): Float32Array {
  const u = numbers(
    name,
    shape.reduce((product, size) => product * size, 1),
  );
  if (name.endsWith('running_var')) return u.map((x) => 1 + 0.5 * x);
  if (/\.[UV]$|\.lora_[AB]/.test(name)) return u.map((x) => 0.5 * x);
  if (shape.length === 1) return u.map((x) => (name.endsWith('.weight') ? 1 : 0) + 0.25 * x);
  const inputs = shape.slice(1).reduce((product, size) => product * size, 1);
  return u.map((x) => x * Math.sqrt(3 / inputs));
}

export function probeOf(name: string, vector: Float32Array): Probe {
  const product = (i: number): number => {
    const other = numbers(`${name}/${i}`, vector.length);
    return vector.reduce((sum, x, at) => sum + x * (other[at] ?? 0), 0);
  };
  return [Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0)), product(0), product(1)];
}
