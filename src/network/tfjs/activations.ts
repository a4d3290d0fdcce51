/** What the network computed for a batch before some layer, kept from one evaluation to the next. */

/** Activations of the validation data kept at once: 10,000 MNIST images before a layer of 64 × 28 × 28 would need 2 GB. */
const MAX_KEPT_BYTES = 512 * 1024 * 1024;

export interface KeptBatch {
  /** Step that comes next, and the value it needs. */
  readonly step: number;
  readonly value: number;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Batches by their first sample. Each keeps its own place: an evaluation may be cancelled between two of them. */
export class KeptActivations {
  private readonly batches = new Map<number, KeptBatch>();

  /**
   * @param cuts by step, the value from which the network can be continued
   * @param elements of one sample, by value
   */
  constructor(
    private readonly cuts: readonly (number | undefined)[],
    private readonly elements: readonly number[],
    private readonly samples: number,
  ) {}

  /** The last step up to `step` before which the activations of all samples can be kept; 0: none but the data. */
  bestCut(step: number): number {
    for (let at = step; at > 0; at--) {
      const value = this.cuts[at];
      if (value === undefined) continue;
      if (4 * (this.elements[value] ?? Infinity) * this.samples <= MAX_KEPT_BYTES) return at;
    }
    return 0;
  }

  /** What is kept of a batch at or before a step. */
  batch(first: number, step: number): KeptBatch | undefined {
    const kept = this.batches.get(first);
    return kept === undefined || kept.step > step ? undefined : kept;
  }

  keep(first: number, batch: KeptBatch): void {
    this.batches.set(first, batch);
  }

  /** Forgets what was computed with a layer whose weight changes at this step. */
  forgetAfter(step: number): void {
    for (const [first, { step: kept }] of this.batches) if (kept > step) this.batches.delete(first);
  }
}
