/** Energy levels at which ranks are reported; 0.9999 is "the rank" (mean layer utilization paper, §2.1). */
export const ENERGY_LEVELS = ['0.9', '0.95', '0.99', '0.999', '0.9999'] as const;
export type EnergyLevel = (typeof ENERGY_LEVELS)[number];

/**
 * Share of the energy by which a level may be missed and still count as reached. Matrices with equal singular
 * values (orthogonal initialisation, identities) sit exactly on a level: 9 of 10 equal values hold 0.9 of the
 * energy. Rounding must not decide such ties; no real spectrum is resolved this finely.
 */
const TIE = 1e-12;

/**
 * Energies left after the first r singular values, relative to σ₁²: element r is Σ_{i>r} (σᵢ/σ₁)².
 * Summed from the smallest up, so that a long tail is not lost against the head; scaled, so that squares
 * neither overflow nor underflow.
 *
 * @param singularValues descending, finite, never negative
 * @returns length + 1 values, descending, the last 0; all 0 for a zero matrix
 */
export function tailEnergies(singularValues: ArrayLike<number>): Float64Array {
  const count = singularValues.length;
  const tail = new Float64Array(count + 1);
  const largest = singularValues[0] ?? 0;
  if (!(largest > 0)) return tail;
  let sum = 0;
  for (let i = count - 1; i >= 0; i--) {
    const scaled = (singularValues[i] ?? 0) / largest;
    sum += scaled * scaled;
    tail[i] = sum;
  }
  return tail;
}

/** The smallest r whose leading energies, total − tail[r], reach `level` of the total; 0 when there is no energy. */
function rankOfTail(tail: Float64Array, level: number): number {
  const total = tail[0] ?? 0;
  if (!(total > 0)) return 0;
  const wanted = level * total - TIE * total;
  // tail descends, so the condition is monotone in r.
  let low = 0;
  let high = tail.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (total - (tail[middle] ?? 0) >= wanted) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Energy rank r_e: the smallest r with Σ_{i≤r} σᵢ² ≥ e·Σ σᵢ².
 *
 * @param singularValues descending, finite, never negative
 * @param level e, in (0, 1]
 * @returns 0 for a zero or empty spectrum
 */
export function energyRank(singularValues: ArrayLike<number>, level: number): number {
  return rankOfTail(tailEnergies(singularValues), level);
}

/** {@link energyRank} at every one of {@link ENERGY_LEVELS}. */
export function energyRanks(singularValues: ArrayLike<number>): Record<EnergyLevel, number> {
  const tail = tailEnergies(singularValues);
  return {
    '0.9': rankOfTail(tail, 0.9),
    '0.95': rankOfTail(tail, 0.95),
    '0.99': rankOfTail(tail, 0.99),
    '0.999': rankOfTail(tail, 0.999),
    '0.9999': rankOfTail(tail, 0.9999),
  };
}
