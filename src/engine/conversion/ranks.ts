/** How many directions each layer gets. Pure: singular values in, ranks out. */
import type { RankChoice } from '../conversionDocument';

/** What is known of a layer when ranks are handed out. */
export interface RankCandidate {
  readonly name: string;
  /** m and n of each of its matrices. */
  readonly shape: readonly [number, number];
  /** Number of its matrices, all kept at the same k. */
  readonly groups: number;
  /** The largest k at which factors are fewer numbers. */
  readonly largestSavingRank: number;
  /** Σσᵢ² over the groups, by i. */
  readonly energies: readonly number[];
}

/** A rank, or why there is none (`class: explanation`). */
export type RankGiven = { readonly rank: number } | { readonly reason: string };

/** Ranks that can be told before anything is fitted. An error target gives those of truncated SVD. */
export function giveRanks(
  candidates: readonly RankCandidate[],
  choice: RankChoice,
  modelParameters: number,
): RankGiven[] {
  switch (choice.kind) {
    case 'rank':
      return candidates.map((candidate) => ifSaving(candidate, choice.rank));
    case 'share':
      return candidates.map((candidate) =>
        ifSaving(candidate, Math.max(1, Math.round(choice.share * Math.min(...candidate.shape)))),
      );
    case 'perLayer':
      return candidates.map((candidate) => {
        const found = choice.ranks.find(({ pattern }) => new RegExp(pattern).test(candidate.name));
        return found === undefined
          ? { reason: 'not selected: no rank is given for its name' }
          : ifSaving(candidate, found.rank);
      });
    case 'error':
      return candidates.map(({ energies }) => ({ rank: rankForError(energies, choice.relativeError) }));
    case 'compression':
      return allotRanks(candidates, choice.rate, modelParameters).map((rank) => ({ rank }));
  }
}

function ifSaving({ shape: [m, n], largestSavingRank }: RankCandidate, rank: number): RankGiven {
  if (rank <= largestSavingRank) return { rank };
  const most = `${largestSavingRank} is the largest that would`;
  return { reason: `no saving: factors of rank ${rank} are not fewer numbers than ${m} × ${n}; ${most}` };
}

/** The smallest k at which truncated SVD leaves at most `relativeError` of the norm; at least 1. */
export function rankForError(energies: readonly number[], relativeError: number): number {
  const total = energies.reduce((sum, energy) => sum + energy, 0);
  let rest = 0;
  let rank = energies.length;
  // From the small end, where sums lose least.
  while (rank > 1) {
    rest += energies[rank - 1] ?? 0;
    if (rest > relativeError ** 2 * total) break;
    rank--;
  }
  return rank;
}

/** Parameters that one more direction costs a layer. */
function stepCost({ shape: [m, n], groups }: RankCandidate): number {
  return groups * (m + n);
}

/**
 * Hands out ranks for a compression rate of the whole model: every layer begins at k = 1, and one more direction goes,
 * again and again, to the layer where it buys most: the largest drop of that layer's squared relative error of
 * truncated SVD, σ²ₖ₊₁/‖W‖², for each parameter it costs. What is minimised is Σ (relative error)² over the layers. The
 * drops of a layer only shrink as k grows, so this is optimal for the number of parameters handed out, which is
 * below the wanted one by less than the cost of the next direction.
 *
 * @param modelParameters of the whole model, converted or not
 * @throws {Error} naming the smallest possible rate when the wanted one cannot be met
 */
export function allotRanks(
  candidates: readonly RankCandidate[],
  rate: number,
  modelParameters: number,
): number[] {
  const ranks = candidates.map(() => 1);
  const dense = candidates.reduce((sum, { shape: [m, n], groups }) => sum + groups * m * n, 0);
  let parameters =
    modelParameters - dense + candidates.reduce((sum, candidate) => sum + stepCost(candidate), 0);
  const wanted = rate * modelParameters;
  if (parameters > wanted) {
    // Rounded up: the rate that is named must work.
    const smallest = Math.ceil((parameters / modelParameters) * 1000) / 10;
    throw new Error(
      `a compression rate of ${trimmedPercent(rate)} cannot be met: with every converted layer at rank 1 it is ${smallest} %`,
    );
  }
  const gains = new GainQueue(candidates);
  for (let next = gains.pop(); next !== undefined; next = gains.pop()) {
    const candidate = candidates[next];
    if (candidate === undefined || parameters + stepCost(candidate) > wanted) break;
    parameters += stepCost(candidate);
    const rank = (ranks[next] ?? 0) + 1;
    ranks[next] = rank;
    gains.push(next, rank);
  }
  return ranks;
}

function trimmedPercent(rate: number): string {
  return `${Number((100 * rate).toFixed(3))} %`;
}

/** Layers by what their next direction buys, best first: a binary heap. Equal gains go to the earlier layer. */
class GainQueue {
  private readonly heap: { readonly index: number; readonly gain: number }[] = [];
  private readonly totals: readonly number[];

  constructor(private readonly candidates: readonly RankCandidate[]) {
    this.totals = candidates.map(({ energies }) => energies.reduce((sum, energy) => sum + energy, 0));
    candidates.forEach((_, index) => {
      this.push(index, 1);
    });
  }

  /** @param rank that the layer has now. A layer at its largest rank is not queued. */
  push(index: number, rank: number): void {
    const candidate = this.candidates[index];
    if (candidate === undefined || rank >= candidate.largestSavingRank) return;
    const gain = (candidate.energies[rank] ?? 0) / (this.totals[index] ?? 1) / stepCost(candidate);
    this.heap.push({ index, gain });
    this.rise(this.heap.length - 1);
  }

  pop(): number | undefined {
    const [best] = this.heap;
    const last = this.heap.pop();
    if (last !== undefined && this.heap.length > 0) {
      this.heap[0] = last;
      this.sink(0);
    }
    return best?.index;
  }

  private rise(place: number): void {
    for (let at = place; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!this.isBefore(at, parent)) return;
      this.swap(at, parent);
      at = parent;
    }
  }

  private sink(place: number): void {
    for (let at = place; ;) {
      const children = [2 * at + 1, 2 * at + 2].filter((child) => child < this.heap.length);
      const best = children.reduce((a, b) => (this.isBefore(b, a) ? b : a), at);
      if (best === at) return;
      this.swap(at, best);
      at = best;
    }
  }

  private isBefore(a: number, b: number): boolean {
    const [x, y] = [this.heap[a], this.heap[b]];
    if (x === undefined || y === undefined) return false;
    return x.gain > y.gain || (x.gain === y.gain && x.index < y.index);
  }

  private swap(a: number, b: number): void {
    const [x, y] = [this.heap[a], this.heap[b]];
    if (x !== undefined) this.heap[b] = x;
    if (y !== undefined) this.heap[a] = y;
  }
}
