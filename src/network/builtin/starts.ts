/** Starting values of a network's parameters. */
import { initialiseDense, initialiseLowRank, initialiseSine, kaimingBound } from '../../lowrank/initialise';
import { RandomStream } from '../../lowrank/randomStream';
import type { Weight } from './weight';

/**
 * The law of a dense weight's starting values. Factors U·Vᵀ of a layer start so that W varies as much as under its law;
 * sin(ω·U·Vᵀ)/g takes its scale from g, see {@link gainOf}, and U and V start as `initialiseSine` has them.
 */
export type WeightLaw =
  /** Uniform, variance 2/((1 + a²)·n): a = 0 before a ReLU, √5 as torch.nn.Linear has it. */
  | { readonly kind: 'kaiming'; readonly negativeSlope: number }
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'normal'; readonly deviation: number };

export type Start =
  Exclude<WeightLaw, { kind: 'kaiming' }> | { readonly kind: 'constant'; readonly value: number };

export const ZEROS: Start = { kind: 'constant', value: 0 };
export const ONES: Start = { kind: 'constant', value: 1 };

/** He et al., 2015: before a ReLU. */
export const KAIMING_RELU: WeightLaw = { kind: 'kaiming', negativeSlope: 0 };

/** Uniform on ±1/√n: what torch.nn.Linear and torch.nn.Conv2d start with. */
export const TORCH_DEFAULT: WeightLaw = { kind: 'kaiming', negativeSlope: Math.sqrt(5) };

/** Of transformers (Radford et al., "Language models are unsupervised multitask learners", 2019; timm; RoBERTa). */
export const TRANSFORMER: WeightLaw & Start = { kind: 'normal', deviation: 0.02 };

/** A seed of its own for every name: values do not depend on what else a network has. FNV-1a, begun at the seed. */
export function seedOf(seed: number, name: string): number {
  let hash = seed ^ 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Values of an array that is no layer's weight. */
export function startingValues(start: Start, count: number, seed: number): Float32Array {
  switch (start.kind) {
    case 'constant':
      return new Float32Array(count).fill(start.value);
    case 'uniform': {
      const random = new RandomStream(seed);
      return Float32Array.from({ length: count }, () => random.symmetric(start.bound));
    }
    case 'normal':
      return normal(count, start.deviation, seed);
  }
}

/** W, groups after one another: as PyTorch shapes it. */
export function denseStart(
  { name, shape: [m, n], groups }: Weight,
  law: WeightLaw,
  seed: number,
): Float32Array {
  const own = seedOf(seed, name);
  return law.kind === 'kaiming'
    ? initialiseDense(groups * m, n, own, law.negativeSlope)
    : startingValues(law, groups * m * n, own);
}

/** U or V of all groups. */
export function factorStart(weight: Weight, law: WeightLaw, side: 'U' | 'V', seed: number): Float32Array {
  const { name, shape, groups, form, omega, gain } = weight;
  const [rows, columns] = shape;
  const rank = form.kind === 'dense' ? 0 : form.rank;
  const parts = Array.from({ length: groups }, (_, group) => {
    const own = seedOf(seed, groups === 1 ? name : `${name}[${group}]`);
    const options = { rows, columns, rank, seed: own };
    const matrix =
      form.kind === 'sine'
        ? initialiseSine({ ...options, omega, gain })
        : initialiseLowRank({ ...options, negativeSlope: slopeOf(law, columns) });
    return matrix.factors.find((factor) => factor.name === side)?.data ?? new Float32Array();
  });
  const [first = new Float32Array()] = parts;
  const all = new Float32Array(first.length * groups);
  parts.forEach((part, group) => {
    all.set(part, group * first.length);
  });
  return all;
}

/** A of an adapter, k × n a group: uniform on ±1/√n, as PEFT has it; B starts at zero, and so does the change of W. */
export function adapterStart({ name, shape: [, n], groups, form }: Weight, seed: number): Float32Array {
  const rank = form.kind === 'dense' ? 0 : form.rank;
  return startingValues(
    { kind: 'uniform', bound: kaimingBound(n, Math.sqrt(5)) },
    groups * rank * n,
    seedOf(seed, `${name}.lora_A`),
  );
}

/**
 * The gain g with which sin(ω·U·Vᵀ)/g starts as wide as a law has it, once ω spreads the product over several periods:
 * the sine then varies by 1/2. Where the law's deviation does not depend on the number of inputs, as a transformer's
 * 0.02 does not, √n would make a narrow network's weights several times as large. All other laws here have deviations
 * of about 1/√n: g is √n, as the authors' own code has it.
 */
export function gainOf(law: WeightLaw, n: number): number {
  return law.kind === 'normal' ? Math.SQRT1_2 / law.deviation : Math.sqrt(n);
}

/** The slope a with which Kaiming's law varies as much as this one over n inputs. */
function slopeOf(law: WeightLaw, n: number): number {
  if (law.kind === 'kaiming') return law.negativeSlope;
  const variance = law.kind === 'normal' ? law.deviation ** 2 : law.bound ** 2 / 3;
  return Math.sqrt(Math.max(0, 2 / (n * variance) - 1));
}

/** Box and Muller's method, both values of a pair. */
function normal(count: number, deviation: number, seed: number): Float32Array {
  const random = new RandomStream(seed);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    // On (0, 1): never 0, of which there is no logarithm.
    const u = (random.integer() + 0.5) / 2 ** 32;
    const angle = (2 * Math.PI * random.integer()) / 2 ** 32;
    const radius = deviation * Math.sqrt(-2 * Math.log(u));
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}
