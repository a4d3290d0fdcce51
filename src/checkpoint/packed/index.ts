import path from 'node:path';
import type { Checkpoint, Tensor } from '../checkpoint';
import { CheckpointError, printable } from '../errors';
import { countOf } from '../wording';
import { awqWeight } from './awq';
import { bitsandbytes4Weight, bitsandbytes8Weight } from './bitsandbytes';
import { blockScaledWeight } from './blockScaled';
import { readQuantisationConfig } from './config';
import { gptqWeight } from './gptq';
import { mlxWeight } from './mlx';
import { mxfp4Weight } from './mxfp4';
import { packQuantizedWeight } from './packQuantized';
import type { PackedWeight, Scheme, Surroundings } from './scheme';
import { SmallTensors } from './smallTensors';

const SCHEMES: readonly Scheme[] = [
  gptqWeight,
  awqWeight,
  packQuantizedWeight,
  mlxWeight,
  bitsandbytes4Weight,
  bitsandbytes8Weight,
  blockScaledWeight,
  mxfp4Weight,
];

/** Every scheme has a tensor with a name like one of these. */
const HINT = /(?:scales?|scale_inv|SCB|bitsandbytes__(?:nf4|fp4))$/;

/** Different forms, and reasons for leaving weights alone, that are told one by one. */
const MAX_KINDS_TOLD = 8;

/**
 * The checkpoint with weights that are quantised as they were before, as far as it is documented how: float32 tensors of
 * the model that are decoded when they are read. What they are made of stays in the list as parts. Weights that do not
 * fit together stay as they are, and a note says why.
 */
export async function withUnpackedWeights(checkpoint: Checkpoint): Promise<Checkpoint> {
  const model = checkpoint.tensors.filter(({ role }) => role === 'model');
  if (!model.some(({ name }) => HINT.test(name))) return checkpoint;
  const byName = new Map(model.map((tensor) => [tensor.name, tensor]));
  const config = await readQuantisationConfig(path.dirname(checkpoint.files[0] ?? checkpoint.path));
  const small = new SmallTensors();
  const around: Surroundings = {
    find: (name) => byName.get(name),
    config,
    readSmall: (tensor, mostBytes) => small.read(tensor, mostBytes),
  };
  try {
    return unpacked(checkpoint, model, around, new Set(checkpoint.tensors.map(({ name }) => name)));
  } finally {
    small.close();
  }
}

function unpacked(
  checkpoint: Checkpoint,
  model: readonly Tensor[],
  around: Surroundings,
  names: ReadonlySet<string>,
): Checkpoint {
  const weights = new Map<string, PackedWeight>();
  const parts = new Set<string>();
  const forms = new Tally();
  const left = new Tally();
  for (const tensor of model) {
    try {
      const found = firstOf(tensor, around);
      if (found === undefined) continue;
      const { name } = found.weight;
      if (name !== tensor.name && names.has(name))
        throw new CheckpointError('unsupported', `beside ${name} itself`);
      weights.set(tensor.name, found);
      for (const part of found.parts) parts.add(part.name);
      forms.add(found.form, name);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      left.add(error.reason, tensor.name);
    }
  }
  if (weights.size === 0 && left.size === 0) return checkpoint;
  const tensors = checkpoint.tensors.flatMap((tensor): Tensor[] => {
    const weight = tensor.role === 'model' ? weights.get(tensor.name)?.weight : undefined;
    const isPart = tensor.role === 'model' && parts.has(tensor.name);
    const stored: Tensor = isPart ? { ...tensor, role: 'packed' } : tensor;
    if (weight === undefined) return [stored];
    // Some schemes keep the packed values under the weight's own name.
    return weight.name === tensor.name ? [weight] : [weight, stored];
  });
  const { note } = around.config;
  return {
    ...checkpoint,
    tensors,
    notes: [
      ...checkpoint.notes,
      ...forms.told((form, n) => `${countOf(n, 'weight is', 'weights are')} ${form}: dequantised to float32`),
      ...left.told((reason, n, first) => {
        const others = n === 1 ? '' : ` and ${n - 1} more`;
        return `left packed: ${printable(first)}${others}, ${printable(reason)}`;
      }),
      ...(note === undefined ? [] : [`A configuration beside the file is not used: ${note}`]),
    ],
  };
}

function firstOf(tensor: Tensor, around: Surroundings): PackedWeight | undefined {
  for (const scheme of SCHEMES) {
    const found = scheme(tensor, around);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** How often each of some texts came, and where first. */
class Tally {
  private readonly counts = new Map<string, { count: number; readonly first: string }>();

  get size(): number {
    return this.counts.size;
  }

  add(text: string, name: string): void {
    const known = this.counts.get(text);
    if (known === undefined) this.counts.set(text, { count: 1, first: name });
    else known.count++;
  }

  /** One line for each of the most frequent; the others together in one. */
  told(line: (text: string, count: number, first: string) => string): string[] {
    const all = [...this.counts].sort(([, a], [, b]) => b.count - a.count);
    const lines = all.slice(0, MAX_KINDS_TOLD).map(([text, { count, first }]) => line(text, count, first));
    const rest = all.slice(MAX_KINDS_TOLD).reduce((sum, [, { count }]) => sum + count, 0);
    if (rest > 0)
      lines.push(`and ${countOf(rest, 'weight', 'weights')} in ${all.length - MAX_KINDS_TOLD} other ways`);
    return lines;
  }
}
