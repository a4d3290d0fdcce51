import { setMaxListeners } from 'node:events';
import type { ComputeBackend } from '../compute';
import { FIGURES } from './figures/recipes';
import type { FigureDocument, FigureNumber } from './figuresDocument';
import { TOOL } from './version';

export interface FiguresOptions {
  readonly figures: readonly FigureNumber[];
  /** Decides every matrix: 0 … 2³² − 1. */
  readonly seed: number;
  readonly backend: ComputeBackend;
  /** Aborting it rejects the job with the signal's reason. */
  readonly signal: AbortSignal;
}

/**
 * The figures of Ji et al., "Sine activated low-rank matrices for parameter efficient learning", that show matrices at
 * initialisation: 1 (left half), 2 and 3. Computed anew; for the same seed and backend build everything but `startedAt`
 * and `seconds` is always the same.
 *
 * @throws RangeError when the seed is out of range
 */
export async function figures({
  figures: numbers,
  seed,
  backend,
  signal,
}: FiguresOptions): Promise<FigureDocument[]> {
  const documents: FigureDocument[] = [];
  // Every matrix in flight listens; Node would take more than ten for a leak.
  const shared = AbortSignal.any([signal]);
  setMaxListeners(0, shared);
  for (const figure of numbers) {
    signal.throwIfAborted();
    const startedAt = new Date();
    const start = performance.now();
    const content = await FIGURES[figure]({ seed, backend, signal: shared });
    documents.push({
      schema: 'rankscope/figure@1',
      tool: TOOL,
      backend: { name: backend.name, build: backend.build },
      startedAt: startedAt.toISOString(),
      seconds: Math.round(performance.now() - start) / 1000,
      figure,
      seed,
      ...content,
    });
  }
  return documents;
}
