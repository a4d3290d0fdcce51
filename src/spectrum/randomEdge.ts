/**
 * Upper edge of the Marchenko–Pastur law for the singular values of an m × n matrix of independent entries
 * with mean 0 and variance v: √v·(√m + √n). A singular value above it is larger than chance of this size.
 *
 * v is taken as the mean square of the entries, ‖W‖_F²/(m·n): that much is known from the singular values alone,
 * and weights are centred closely enough (a mean of μ would add μ² to v and its own spike, √(m·n)·|μ|).
 *
 * @returns 0 for an empty matrix
 */
export function randomEdge(frobeniusNorm: number, m: number, n: number): number {
  if (m === 0 || n === 0) return 0;
  return (frobeniusNorm / Math.sqrt(m * n)) * (Math.sqrt(m) + Math.sqrt(n));
}

/** Number of singular values (descending) above an edge. */
export function spikesAbove(singularValues: ArrayLike<number>, edge: number): number {
  let count = 0;
  while (count < singularValues.length && (singularValues[count] ?? 0) > edge) count++;
  return count;
}
