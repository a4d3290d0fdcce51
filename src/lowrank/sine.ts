import type { Factorization } from './factorization';
import {
  factorBytes,
  factoredMatrix,
  factorParameters,
  largestSavingRank,
  mapFit,
  materialiseFactors,
} from './twoFactors';

/** Most steps of a fit unless told otherwise. */
export const DEFAULT_STEPS = 600;

/**
 * Frequency unless told otherwise: 3·√k. torch.nn.Linear fills a factor with k inputs uniformly in ±1/√k (Kaiming
 * uniform, a = √5); an entry of U·Vᵀ then has standard deviation 1/(3·√k). Fitted phases ω·U·Vᵀ are about 1 radian, so
 * with this ω the factors have the scale at which training would have begun.
 */
export function defaultOmega(rank: number): number {
  return 3 * Math.sqrt(rank);
}

/**
 * W ≈ sin(ω·U·Vᵀ)/g (Ji et al., "Sine activated low-rank matrices for parameter efficient learning", eq. 3); ω and g
 * are not trained. It saves storage and trainable parameters, not FLOPs: the sine of every entry is needed, so the
 * dense matrix is made once a pass and multiplies as before.
 */
export const sineLowRank: Factorization = {
  name: 'sine',
  title: 'sine-low-rank',
  ledger: (rows, columns, rank) => ({
    parameters: factorParameters(rows, columns, rank),
    bytes: factorBytes(rows, columns, rank),
    multiplyAdds: rows * columns,
    materialiseMultiplyAdds: rows * columns * rank,
  }),
  largestSavingRank,
  async fit(
    target,
    { rank, seed, omega = defaultOmega(rank), gain, steps = DEFAULT_STEPS },
    backend,
    signal,
    onFraction,
  ) {
    const options = { rank, omega, steps, seed, ...(gain !== undefined && { gain }) };
    const result = await backend.sineFit(target, options, signal, onFraction);
    return mapFit(result, (fit) => ({
      matrix: factoredMatrix('sine', fit.U, fit.V, rank, { omega, gain: fit.gain }),
      relativeError: fit.relativeError,
      svdRelativeError: fit.svdRelativeError,
    }));
  },
  materialise(matrix) {
    const { omega, gain } = matrix.scalars;
    if (omega === undefined || gain === undefined)
      throw new Error('a sine-low-rank matrix needs its omega and its gain');
    return materialiseFactors(matrix, { activation: 'sine', omega, gain });
  },
};
