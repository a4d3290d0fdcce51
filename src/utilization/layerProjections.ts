import type { NetworkLayer } from '../network/network';
import type { Compute, Eigenbasis } from './eigenbasis';
import { GroupProjections, type Factors } from './group';
import { concatenated } from './matrices';
import type { Side } from './probe';
import { rankOf } from './rank';

/** What a layer's projections keep and cost. */
export interface ProjectionFacts {
  /** Shares of spectral energy kept, 0 … 1. */
  readonly energyS: number;
  readonly energyT: number;
  /** r_0.9999(W′) of each group. */
  readonly utilizedRanks: readonly number[];
  readonly error: ErrorCertificate;
}

/**
 * How far the outputs Y = X·Wᵀ of a layer move when W becomes W′ = P_T·W·P_S, as shares of ‖Y‖²_F.
 *
 * P_T projects onto Y's own leading directions and P_S onto X's, so with complements P⊥ = I − P
 *
 *   Y − Y′ = Y·P_T⊥ + X·P_S⊥·Wᵀ·P_T,
 *
 * two parts at right angles: rows of the first lie in T⊥, of the second in T. With the energies that are thrown away,
 * ε_T = ‖Y·P_T⊥‖²/‖Y‖² and ε_S = ‖X·P_S⊥‖²/‖X‖², and ‖A·Wᵀ‖_F ≤ ‖A‖_F·σ₁(W),
 *
 *   ‖Y − Y′‖²/‖Y‖² ≤ ε_T + ε_S·σ₁(W)²·‖X‖²/‖Y‖²
 *
 * (eq. 30 of "Revealing the utilized rank of subspaces of learning", with σ₁(W) where the paper has ‖W‖_F). The share
 * is never above 1, since Y′ keeps some of Y's coordinates in orthogonal bases and drops the rest. Over groups, parts
 * are summed.
 */
export interface ErrorCertificate {
  /** From the Gram matrix alone: tr((W−W′)·G·(W−W′)ᵀ) ÷ tr(W·G·Wᵀ). */
  readonly measured: number;
  readonly bound: number;
}

/**
 * One layer's weight between its input and output subspaces. A grouped convolution has subspaces for each group, of
 * one dimension common to all: its parts then are one grouped convolution after the other.
 */
export class LayerProjections {
  /** Energies over all groups, descending. */
  readonly inputEnergies: Float64Array;
  readonly outputEnergies: Float64Array;
  private projectedInputs: { readonly k: number; readonly parts: readonly Float64Array[] } | undefined;

  private constructor(
    readonly layer: NetworkLayer,
    private readonly groups: readonly GroupProjections[],
    private readonly spectra: readonly Float64Array[],
  ) {
    this.inputEnergies = summed(groups.map(({ inputs }) => inputs.energies));
    this.outputEnergies = summed(groups.map(({ outputs }) => outputs.energies));
  }

  /**
   * @param weight groups × m × n, row-major
   * @param inputs eigenvectors of the input Gram of each group
   */
  static async of(
    layer: NetworkLayer,
    weight: Float64Array,
    inputs: readonly Eigenbasis[],
    compute: Compute,
  ): Promise<LayerProjections> {
    const [m, n] = layer.shape;
    const groups: GroupProjections[] = [];
    for (const [g, basis] of inputs.entries()) {
      const part = weight.slice(g * m * n, (g + 1) * m * n);
      groups.push(await GroupProjections.of(part, m, n, basis, compute));
    }
    const spectra: Float64Array[] = [];
    for (const group of groups) spectra.push(await group.singularValues());
    return new LayerProjections(layer, groups, spectra);
  }

  /** Mean over the groups of r_0.9999(W). */
  get rank(): number {
    return mean(this.spectra.map(rankOf));
  }

  /** Smallest dimension whose subspaces hold at least this share of the spectral energy, at least 1. */
  dimensionFor(side: Side, share: number): number {
    const energies = side === 'input' ? this.inputEnergies : this.outputEnergies;
    const wanted = share * energies.reduce((sum, energy) => sum + energy, 0);
    let held = 0;
    for (const [i, energy] of energies.entries()) {
      held += energy;
      if (held >= wanted) return i + 1;
    }
    return energies.length;
  }

  /** W·P_S, groups × m × n. */
  async onInputs(k: number): Promise<Float64Array> {
    return concatenated(await this.inputParts(k));
  }

  /** W′ = P_T·W·P_S, groups × m × n; with k_S = n, P_T·W. */
  async onBoth(kS: number, kT: number): Promise<Float64Array> {
    const inputs = await this.inputParts(kS);
    const parts: Float64Array[] = [];
    for (const [g, group] of this.groups.entries())
      parts.push(await group.onOutputSubspace(kT, inputs[g] ?? new Float64Array(0)));
    return concatenated(parts);
  }

  async facts(kS: number, kT: number): Promise<ProjectionFacts> {
    const utilizedRanks: number[] = [];
    let [output, lost, lostAtMost] = [0, 0, 0];
    for (const [g, group] of this.groups.entries()) {
      utilizedRanks.push(rankOf(await group.utilizedSingularValues(kS, kT)));
      const energies = group.energies(kS, kT, this.spectra[g]?.[0] ?? 0);
      output += energies.output;
      lost += energies.lost;
      lostAtMost += energies.lostAtMost;
    }
    const share = (part: number): number => (output > 0 ? Math.min(1, part / output) : 0);
    return {
      energyS: keptShare(this.inputEnergies, kS),
      energyT: keptShare(this.outputEnergies, kT),
      utilizedRanks,
      error: { measured: share(lost), bound: share(lostAtMost) },
    };
  }

  /** W′ as two layers at rank r, one pair of factors a group. */
  async factors(kS: number, kT: number, r: number): Promise<readonly Factors[]> {
    const factors: Factors[] = [];
    for (const group of this.groups) factors.push(await group.factors(kS, kT, r));
    return factors;
  }

  /** Kept for the probes of the output side, which all begin with the same W·P_S. */
  private async inputParts(k: number): Promise<readonly Float64Array[]> {
    if (this.projectedInputs?.k === k) return this.projectedInputs.parts;
    const parts: Float64Array[] = [];
    for (const group of this.groups) parts.push(await group.onInputSubspace(k));
    this.projectedInputs = { k, parts };
    return parts;
  }
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function summed(all: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array(all[0]?.length ?? 0);
  for (const energies of all) for (const [i, energy] of energies.entries()) sum[i] = (sum[i] ?? 0) + energy;
  return sum;
}

/** Exactly 1 when all is kept; 1 too where there is no energy. */
function keptShare(energies: Float64Array, k: number): number {
  const lost = energies.subarray(k).reduce((sum, energy) => sum + energy, 0);
  const kept = energies.subarray(0, k).reduce((sum, energy) => sum + energy, 0);
  return lost === 0 ? 1 : kept / (kept + lost);
}
