import { ENERGY_LEVELS, energyRanks, tailEnergies, type EnergyLevel } from './energy';
import { randomEdge, spikesAbove } from './randomEdge';

/**
 * Everything told about one spectrum. Means over the groups for a grouped convolution, so that ranks and spikes
 * may be fractional. A zero or empty matrix has 0 everywhere: no direction is used, and no quotient is 0/0.
 */
export interface RankMetrics {
  /** r_0.9999: the smallest r whose leading singular values hold 99.99 % of the energy Σσ². */
  readonly rank: number;
  readonly energyRanks: Readonly<Record<EnergyLevel, number>>;
  /** ‖W‖_F² / σ₁². */
  readonly stableRank: number;
  /** exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ / Σσ (Roy & Vetterli, 2007). */
  readonly effectiveRank: number;
  readonly spectralNorm: number;
  readonly frobeniusNorm: number;
  /** Marchenko–Pastur upper edge for a random matrix of the same shape and entry variance. */
  readonly randomEdge: number;
  /** Number of singular values above the random edge. */
  readonly spikes: number;
}

/**
 * All ranks and diagnoses of one m × n matrix.
 *
 * @param singularValues all of them, descending
 * @param maxRank how many there are: min(m, n), or fewer for a product of two matrices, where all others are zero
 * @throws RangeError when they are not as many finite, descending, non-negative numbers
 */
export function rankMetrics(
  singularValues: ArrayLike<number>,
  m: number,
  n: number,
  maxRank = Math.min(m, n),
): RankMetrics {
  requireSpectrum(singularValues, maxRank);
  const spectralNorm = singularValues[0] ?? 0;
  const stableRank = tailEnergies(singularValues)[0] ?? 0;
  const frobeniusNorm = spectralNorm * Math.sqrt(stableRank);
  const edge = randomEdge(frobeniusNorm, m, n);
  const ranks = energyRanks(singularValues);
  return {
    rank: ranks['0.9999'],
    energyRanks: ranks,
    stableRank,
    effectiveRank: effectiveRank(singularValues),
    spectralNorm,
    frobeniusNorm,
    randomEdge: edge,
    spikes: spikesAbove(singularValues, edge),
  };
}

/**
 * Effective rank exp(H(p)), p = σ/Σσ (Roy & Vetterli, "The effective rank", 2007). Scaled by σ₁ so that nothing
 * overflows, and written as ln Σs − Σ s·ln s / Σs over s = σ/σ₁, which needs no second division per value.
 */
function effectiveRank(singularValues: ArrayLike<number>): number {
  const largest = singularValues[0] ?? 0;
  if (!(largest > 0)) return 0;
  let sum = 0;
  let weighted = 0;
  for (let i = singularValues.length - 1; i >= 0; i--) {
    const scaled = (singularValues[i] ?? 0) / largest;
    sum += scaled;
    // s·ln s → 0 as s → 0.
    if (scaled > 0) weighted += scaled * Math.log(scaled);
  }
  return Math.exp(Math.log(sum) - weighted / sum);
}

/** rank / maxRank, the utilization of a layer by its own rank; 0 for an empty matrix. */
export function utilization(rank: number, m: number, n: number, maxRank = Math.min(m, n)): number {
  return maxRank === 0 ? 0 : rank / maxRank;
}

/**
 * Means of the metrics over the groups of a layer, all of one shape.
 *
 * @throws RangeError for no groups
 */
export function meanMetrics(groups: readonly RankMetrics[]): RankMetrics {
  const [first] = groups;
  if (first === undefined) throw new RangeError('a mean needs at least one group');
  if (groups.length === 1) return first;
  const mean = (of: (metrics: RankMetrics) => number) =>
    groups.reduce((sum, metrics) => sum + of(metrics), 0) / groups.length;
  const levels = ENERGY_LEVELS.map((level) => [level, mean((g) => g.energyRanks[level])] as const);
  return {
    rank: mean((g) => g.rank),
    // fromEntries forgets its keys' types; they are the levels, each once.
    energyRanks: Object.fromEntries(levels) as Record<EnergyLevel, number>,
    stableRank: mean((g) => g.stableRank),
    effectiveRank: mean((g) => g.effectiveRank),
    spectralNorm: mean((g) => g.spectralNorm),
    frobeniusNorm: mean((g) => g.frobeniusNorm),
    randomEdge: mean((g) => g.randomEdge),
    spikes: mean((g) => g.spikes),
  };
}

/**
 * Mean of the i-th singular values over the groups of a layer.
 *
 * @throws RangeError for no groups, or groups of different lengths
 */
export function meanSpectrum(groups: readonly ArrayLike<number>[]): Float64Array {
  const [first] = groups;
  if (first === undefined) throw new RangeError('a mean needs at least one group');
  const mean = new Float64Array(first.length);
  for (const group of groups) {
    if (group.length !== mean.length) throw new RangeError('groups of a layer must have one shape');
    for (let i = 0; i < mean.length; i++) mean[i] = (mean[i] ?? 0) + (group[i] ?? 0) / groups.length;
  }
  return mean;
}

function requireSpectrum(singularValues: ArrayLike<number>, count: number): void {
  if (singularValues.length !== count) {
    throw new RangeError(`expected ${count} singular values, got ${singularValues.length}`);
  }
  let previous = Infinity;
  for (let i = 0; i < count; i++) {
    const value = singularValues[i] ?? NaN;
    // The negated form refuses NaN too.
    if (!(value >= 0 && value <= previous && value < Infinity)) {
      throw new RangeError(`singular value ${i} is ${value}: not finite, descending and non-negative`);
    }
    previous = value;
  }
}
