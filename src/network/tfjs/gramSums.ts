import type { ComputeBackend } from '../../compute/backend';

/** Chunks of rows on their way to the backend at once, for each layer it can work on. */
const CHUNKS_A_WORKER = 2;

/**
 * Rows of a layer gathered before they are added: every addition carries the n × n sum to a worker and back, which
 * small batches of wide layers would mostly wait for.
 */
const MAX_GATHERED_BYTES = 4 * 1024 * 1024;

interface Sum {
  gram: Promise<Float64Array>;
  vectors: number;
  gathered: Float32Array[];
  gatheredElements: number;
}

/** Running Gram matrices of several layers. Chunks of one layer are added in order; layers go side by side. */
export class GramSums {
  private readonly sums = new Map<number, Sum>();
  private readonly underWay = new Set<Promise<void>>();
  private failure: { readonly error: unknown } | undefined;

  constructor(
    private readonly backend: ComputeBackend,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * Adds rows × n float32, which are handed over. Waits while there is enough under way.
   *
   * @throws what an earlier addition failed with
   */
  async add(layer: number, n: number, rows: Float32Array): Promise<void> {
    const sum = this.sums.get(layer) ?? {
      gram: Promise.resolve(new Float64Array(n * n)),
      vectors: 0,
      gathered: [],
      gatheredElements: 0,
    };
    this.sums.set(layer, sum);
    sum.vectors += rows.length / Math.max(1, n);
    sum.gathered.push(rows);
    sum.gatheredElements += rows.length;
    if (sum.gatheredElements >= Math.min(n * n, MAX_GATHERED_BYTES / 4)) await this.flush(sum, n);
  }

  /** The sum of a layer, which is forgotten. */
  async take(
    layer: number,
    n: number,
  ): Promise<{ readonly gram: Float64Array; readonly vectors: number } | undefined> {
    const sum = this.sums.get(layer);
    if (sum === undefined) return undefined;
    this.sums.delete(layer);
    await this.flush(sum, n);
    return { gram: await sum.gram, vectors: sum.vectors };
  }

  /** Waits until nothing is under way, whatever became of it. */
  async settle(): Promise<void> {
    await Promise.all(this.underWay);
  }

  private async flush(sum: Sum, n: number): Promise<void> {
    while (this.underWay.size >= CHUNKS_A_WORKER * this.backend.concurrency)
      await Promise.race(this.underWay);
    if (this.failure !== undefined) throw this.failure.error;
    if (sum.gatheredElements === 0) return;
    const rows = joined(sum.gathered, sum.gatheredElements);
    sum.gathered = [];
    sum.gatheredElements = 0;
    sum.gram = sum.gram.then((gram) => this.backend.accumulateGram({ gram, n, rows }, this.signal));
    const settled: Promise<void> = sum.gram.then(
      () => {
        this.underWay.delete(settled);
      },
      (error: unknown) => {
        this.failure ??= { error };
        this.underWay.delete(settled);
      },
    );
    this.underWay.add(settled);
  }
}

function joined(parts: readonly Float32Array[], elements: number): Float32Array {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const all = new Float32Array(elements);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** @throws {Error} naming the layer whose inputs were not finite: any such value reaches its own diagonal element */
export function requireFiniteInputs(gram: Float64Array, n: number, name: string): void {
  for (let i = 0; i < n; i++) {
    if (Number.isFinite(gram[i * n + i])) continue;
    throw new Error(
      `the inputs of "${name}" are NaN or infinite on the Gram data: check scale, mean and std in the recipe, and the weights before it`,
    );
  }
}
