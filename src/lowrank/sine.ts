import type { SineFit } from '../compute';
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

/** Phases up to this are the linear limit's: sin x is x to six digits. Descents end at about 1. */
const LINEAR_PHASE = 1e-3;

/** Rows of each factor that are looked at: the limit has no large phase anywhere, other fits have them everywhere. */
const SAMPLED_ROWS = 64;

/**
 * The frequency that gives a fit's factors a scale to train on. A fit in the linear limit has phases next to nothing;
 * with ω = g it is U·Vᵀ, whose factors then are truncated SVD's, and learn as those do. With a larger ω they would be so
 * small that the first step of any optimiser loses them.
 */
function omegaFor({ U, V, gain }: Pick<SineFit, 'U' | 'V' | 'gain'>, rank: number, omega: number): number {
  const rows = sampledRows(V, rank);
  const isLinear = sampledRows(U, rank).every((u) =>
    rows.every((v) => Math.abs(omega * u.reduce((sum, x, i) => sum + x * (v[i] ?? NaN), 0)) <= LINEAR_PHASE),
  );
  return isLinear ? gain : omega;
}

function sampledRows(values: Float32Array, rank: number): Float32Array[] {
  const count = values.length / rank;
  const step = Math.max(1, Math.floor(count / SAMPLED_ROWS));
  const rows: Float32Array[] = [];
  for (let row = 0; row < count; row += step) rows.push(values.subarray(row * rank, (row + 1) * rank));
  return rows;
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
  async fit(target, { rank, seed, omega: wanted, gain, steps = DEFAULT_STEPS }, backend, signal, onFraction) {
    const asked = wanted ?? defaultOmega(rank);
    const options = { rank, omega: asked, steps, seed, ...(gain !== undefined && { gain }) };
    const result = await backend.sineFit(target, options, signal, onFraction);
    return mapFit(result, (fit) => {
      const omega = wanted ?? omegaFor(fit, rank, asked);
      // ω·U·Vᵀ stays what it is.
      const scale = Math.sqrt(asked / omega);
      const scaled = (values: Float32Array): Float32Array => values.map((x) => scale * x);
      return {
        matrix: factoredMatrix('sine', scaled(fit.U), scaled(fit.V), rank, { omega, gain: fit.gain }),
        relativeError: fit.relativeError,
        svdRelativeError: fit.svdRelativeError,
      };
    });
  },
  materialise(matrix) {
    const { omega, gain } = matrix.scalars;
    if (omega === undefined || gain === undefined)
      throw new Error('a sine-low-rank matrix needs its omega and its gain');
    return materialiseFactors(matrix, { activation: 'sine', omega, gain });
  },
};
