/** Samples a network is run on, normalised and laid out as the recipe says, a range at a time. */
export interface Dataset {
  readonly samples: number;
  /** Of one sample, as the network takes it: [3, 32, 32], [784] … */
  readonly shape: readonly number[];
  /** Class of each sample; absent when the data has none. */
  readonly labels?: Int32Array;
  /** Hex sha256 over what decides the values: the files' bytes and the recipe's settings. */
  readonly identity: string;
  /** Things a person should know: labels that were one-hot, files left out … */
  readonly notes: readonly string[];
  /**
   * Samples from … to−1, one after the other, row-major.
   *
   * @throws CheckpointError naming file and offset
   */
  read(from: number, to: number): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** Data for the hosts that run a network here. */
export interface NetworkData {
  /** What the input Grams are summed over; the same object as `validation` when the recipe names no other. */
  readonly gram: Dataset;
  /** What accuracy is measured on. */
  readonly validation: Dataset;
  readonly batchSize: number;
}

/** What a network takes: decides how samples are laid out. */
export interface NetworkInput {
  /** Of one sample, without the batch; undefined where any size is taken. */
  readonly shape: readonly (number | undefined)[];
  /** What three axes mean, and the order in which pictures are flattened. */
  readonly layout: 'chw' | 'hwc';
}
