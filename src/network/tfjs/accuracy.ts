/** Whether the class of the largest output is the label. */
export interface OutputRule {
  /** Outputs a sample; 1: one number that is compared with `threshold`. */
  readonly outputs: number;
  /** One output: class 1 above it. A sigmoid's middle is 0.5, a plain number's 0. */
  readonly threshold: number;
}

/**
 * How many samples of a batch are classified right.
 *
 * @param outputs samples × outputs, row-major
 * @param first index of the batch's first sample, for the message
 * @throws {Error} when an output is no number
 */
export function countRight(
  outputs: Float32Array,
  labels: Int32Array,
  { outputs: classes, threshold }: OutputRule,
  first: number,
): number {
  let right = 0;
  labels.forEach((label, sample) => {
    const row = outputs.subarray(sample * classes, (sample + 1) * classes);
    if (row.some((value) => Number.isNaN(value)))
      throw new Error(
        `the network's output for validation sample ${first + sample} is NaN: check scale, mean and std in the recipe, and the weights`,
      );
    const guess = classes === 1 ? Number((row[0] ?? 0) > threshold) : largest(row);
    if (guess === label) right++;
  });
  return right;
}

/** Index of the first largest value, as NumPy's `argmax` gives it. */
function largest(row: Float32Array): number {
  let best = 0;
  row.forEach((value, i) => {
    if (value > (row[best] ?? 0)) best = i;
  });
  return best;
}
