/** What `utilization_torch.py` wrote. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './references';

export interface LayerReference {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly maxRank: number;
  readonly rank: number;
  readonly kS: number;
  readonly kT: number;
  readonly energyS: number;
  readonly energyT: number;
  readonly utilizedRank: number;
  /** ‖(W − W′) X‖² ÷ ‖W X‖². */
  readonly error: number;
  readonly vectors: number;
  readonly gramTrace: number;
  readonly valueAfter?: number;
  readonly probes?: readonly {
    readonly side: 'input' | 'output';
    readonly k: number;
    readonly value: number;
    readonly threshold: number;
    readonly passed: boolean;
  }[];
}

interface Outcome {
  /** Percent. */
  readonly mlu: number;
  /** Percent, with all projections applied. */
  readonly accuracy: number;
  readonly layers: readonly LayerReference[];
}

export interface NetworkReference {
  readonly gramSamples: number;
  readonly validationSamples: number;
  readonly accuracy: number;
  readonly mluOriginal: number;
  readonly labelFree: Outcome & { readonly energy: number };
  readonly cumulative: Outcome & { readonly delta: number; readonly passes: number };
}

export interface UtilizationReferences {
  readonly about: string;
  readonly command: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly networks: Readonly<Record<'resnet20' | 'mlp' | 'vit', NetworkReference>>;
}

export function utilizationReferences(): UtilizationReferences {
  const text = readFileSync(path.join(ROOT, 'test/reference/utilization.json'), 'utf8');
  // The file is the project's own, made by utilization_torch.py in this shape.
  return JSON.parse(text) as UtilizationReferences;
}
