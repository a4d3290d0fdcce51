import type { Factorization } from './factorization';
import {
  factorBytes,
  factoredMatrix,
  factorParameters,
  largestSavingRank,
  mapFit,
  materialiseFactors,
} from './twoFactors';

/**
 * W ≈ U·Vᵀ, the best approximation of rank k in the Frobenius norm (Eckart & Young, 1936), or in the norm of the
 * inputs where their Gram matrix is given; √Σ goes to either factor.
 */
export const truncatedSvd: Factorization = {
  name: 'svd',
  title: 'truncated SVD',
  // y = U·(Vᵀ·x): two thin products, nothing to materialise.
  ledger: (rows, columns, rank) => ({
    parameters: factorParameters(rows, columns, rank),
    bytes: factorBytes(rows, columns, rank),
    multiplyAdds: factorParameters(rows, columns, rank),
    materialiseMultiplyAdds: 0,
  }),
  largestSavingRank,
  async fit(target, { rank }, backend, signal, onFraction) {
    const result = await backend.truncatedSvd(target, rank, signal, onFraction);
    return mapFit(result, ({ U, V, relativeError }) => ({
      matrix: factoredMatrix('svd', U, V, rank, {}),
      relativeError,
      svdRelativeError: relativeError,
    }));
  },
  materialise: (matrix) => materialiseFactors(matrix, { activation: 'identity', omega: 1, gain: 1 }),
};
