/**
 * Whether two layers r × n and m × r have fewer parameters than one m × n: r < m·n/(m+n).
 *
 * @param rank r; a mean over groups may be fractional
 */
export function isDecomposable(rank: number, m: number, n: number): boolean {
  return decomposedParameters(rank, m, n) < m * n;
}

/** Parameters of the two layers r × n and m × r that replace an m × n one: r·(m+n). */
export function decomposedParameters(rank: number, m: number, n: number): number {
  return rank * (m + n);
}
