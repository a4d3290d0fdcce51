/** Factorizations: ways to keep a weight matrix as fewer numbers. A new one is a file beside this and a line below. */
import type { Factorization } from './factorization';
import { sineLowRank } from './sine';
import { truncatedSvd } from './truncatedSvd';

export type { Factor, FactoredMatrix, Factorization, FitSettings, Fitted, Ledger } from './factorization';

export const FACTORIZATIONS: readonly Factorization[] = [truncatedSvd, sineLowRank];

/**
 * The factorization of a name.
 * @throws {Error} with a one-line message for a name that is not known.
 */
export function factorization(name: string): Factorization {
  const found = FACTORIZATIONS.find((member) => member.name === name);
  if (found === undefined)
    throw new Error(
      `unknown factorization "${name}": choose ${FACTORIZATIONS.map((member) => member.name).join(' or ')}`,
    );
  return found;
}
