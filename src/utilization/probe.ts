/** Which of a layer's two projections: of its inputs, or of its outputs. */
export type Side = 'input' | 'output';

/** One evaluation of the search. Plain facts: documents and pages know them without the rest of this folder. */
export interface ProbeOutcome {
  /** Order in which probes were made, from 0 over the whole search. */
  readonly pass: number;
  readonly side: Side;
  readonly k: number;
  /** Accuracy in %, or loss. */
  readonly value: number;
  /** What the value was held against. */
  readonly threshold: number;
  readonly passed: boolean;
}
