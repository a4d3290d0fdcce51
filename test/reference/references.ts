/** What `make_audit.py` wrote, and where the files it describes lie. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { EnergyLevel } from '../../src/engine/document';
import type { Recipe } from './generated';

/** Numbers of one spectrum; see the head of `audit.json` for their meaning. */
export interface SpectrumReference {
  readonly shape: readonly number[];
  readonly matrix: readonly [number, number];
  readonly rank: number;
  readonly energyRanks: Readonly<Record<EnergyLevel, number>>;
  readonly margins: Readonly<Record<EnergyLevel, number>>;
  readonly stableRank: number;
  readonly effectiveRank: number;
  readonly spectralNorm: number;
  readonly frobeniusNorm: number;
  readonly sigma?: readonly number[];
  readonly rowNorm?: number;
  readonly slices?: { readonly shape: readonly number[]; readonly sigma: readonly number[] };
}

/** A tensor without a spectrum: nothing in it, all zero, or with values that are not numbers. */
export interface DegenerateReference {
  readonly shape: readonly number[];
  readonly empty?: true;
  readonly zero?: true;
  readonly nonFinite?: true;
}

export type TensorReference = SpectrumReference | DegenerateReference;

export interface AuditReferences {
  readonly about: string;
  readonly command: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly generated: Readonly<
    Record<string, TensorReference & { readonly recipe: Recipe; readonly sha256: string }>
  >;
  readonly sample: Readonly<Record<string, TensorReference>>;
  readonly shared: Readonly<Record<string, Readonly<Record<string, TensorReference>>>>;
}

/** Tests run from the project's root. */
export const ROOT = process.cwd();

export function auditReferences(): AuditReferences {
  const text = readFileSync(path.join(ROOT, 'test/reference/audit.json'), 'utf8');
  // The file is the project's own, made by make_audit.py in this shape.
  return JSON.parse(text) as AuditReferences;
}

export function hasSpectrum(reference: TensorReference): reference is SpectrumReference {
  return 'rank' in reference;
}

/** The folder of shared real checkpoints, or undefined where there is none (an error when they are required). */
export function sharedData(): string | undefined {
  const folder = path.join(process.env.RANKSCOPE_SHARED ?? path.join(ROOT, '..', 'shared'), 'data');
  if (existsSync(folder)) return folder;
  if (process.env.RANKSCOPE_REQUIRE_SHARED === '1') throw new Error(`${folder} is required and missing`);
  return undefined;
}
