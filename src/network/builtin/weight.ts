/** The weight of one layer in the form it takes: its place, its arrays and what they are called. */
import type { LayerForm } from './recipe';

export interface Weight {
  /** Index into the architecture's layers. */
  readonly layer: number;
  /** `layer1.0.conv1.weight`. */
  readonly name: string;
  /** [m, n] of one group. */
  readonly shape: readonly [number, number];
  readonly groups: number;
  /** As PyTorch shapes it. */
  readonly weightShape: readonly number[];
  readonly form: LayerForm;
  /** 1 where the form has none. */
  readonly omega: number;
  readonly gain: number;
  /** α/k of an adapter; 1 where there is none. */
  readonly scale: number;
}

/** One array of a weight. */
export interface WeightArray {
  readonly role: 'W' | 'U' | 'V' | 'A' | 'B';
  readonly name: string;
  readonly shape: readonly number[];
}

/** Names of the arrays that a weight may be made of. */
export function arrayNames(weight: string): Readonly<Record<WeightArray['role'], string>> {
  const module = moduleOf(weight);
  return {
    W: weight,
    U: `${weight}.U`,
    V: `${weight}.V`,
    A: `${module}.lora_A.weight`,
    B: `${module}.lora_B.weight`,
  };
}

/** `layer1.0.conv1.weight` → `layer1.0.conv1`. */
export function moduleOf(weight: string): string {
  return weight.replace(/\.weight$/, '');
}

/** What a weight is made of in its form, in the order in which it is written down. */
export function arraysOf({
  name,
  shape: [m, n],
  groups,
  weightShape,
  form,
}: Pick<Weight, 'name' | 'shape' | 'groups' | 'weightShape' | 'form'>): readonly WeightArray[] {
  const names = arrayNames(name);
  const stacked = (...shape: number[]): number[] => (groups === 1 ? shape : [groups, ...shape]);
  const W: WeightArray = { role: 'W', name: names.W, shape: weightShape };
  switch (form.kind) {
    case 'dense':
      return [W];
    case 'low-rank':
    case 'sine':
      return [
        { role: 'U', name: names.U, shape: stacked(m, form.rank) },
        { role: 'V', name: names.V, shape: stacked(n, form.rank) },
      ];
    case 'lora':
    case 'sine-lora':
      return [
        W,
        { role: 'A', name: names.A, shape: stacked(form.rank, n) },
        { role: 'B', name: names.B, shape: stacked(m, form.rank) },
      ];
  }
}
