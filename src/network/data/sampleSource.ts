import type { SampleLayout } from '../recipe';

/** Samples as the files keep them, before scale, normalisation and layout. */
export interface SampleSource {
  readonly samples: number;
  /** Of one sample. */
  readonly shape: readonly number[];
  /** What the format says of the axes; absent: it does not say. */
  readonly layout?: SampleLayout;
  /** Values are bytes, or the colours of pictures: 0 … 255. */
  readonly areBytes: boolean;
  readonly labels?: Int32Array;
  readonly notes: readonly string[];
  /** What the samples are known again by: a text for each, hashed with the recipe's settings. */
  readonly contents: AsyncIterable<string | Uint8Array>;
  /** Samples from … to−1, one after the other. @throws CheckpointError */
  read(from: number, to: number): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Data that is compressed is held in memory as a whole; more than this is better kept uncompressed, and read by ranges. */
export const MAX_HELD_BYTES = 2 ** 31;
