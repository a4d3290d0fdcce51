/** What the numbered variables of a layer of an unknown class are, by their shapes; undefined where these are mute. */
export function inferVariables(shapes: readonly (readonly number[])[]): readonly string[] | undefined {
  const [first = [], second = [], third = []] = shapes;
  const sizes = shapes.map((shape) => shape[0] ?? 0);
  const areVectors = shapes.every((shape) => shape.length === 1) && new Set(sizes).size === 1;
  if (areVectors && shapes.length === 4) return ['gamma', 'beta', 'moving_mean', 'moving_variance'];
  if (areVectors && shapes.length === 2) return ['gamma', 'beta'];
  if (shapes.length === 3 && isRecurrent(first, second, third)) return ['kernel', 'recurrent_kernel', 'bias'];
  if (shapes.length === 3 && first.length === second.length && third.length === 1 && first.length > 2) {
    const isPointwise = second.slice(0, -2).every((size) => size === 1);
    return isPointwise ? ['depthwise_kernel', 'pointwise_kernel', 'bias'] : undefined;
  }
  if (shapes.length === 1 && first.length >= 2) return ['kernel'];
  if (shapes.length !== 2 || first.length < 2 || second.length !== 1) return undefined;
  const [outputs = 0] = second;
  if (first.at(-1) === outputs) return ['kernel', 'bias'];
  const isDepthwise = first.length > 2 && (first.at(-1) ?? 0) * (first.at(-2) ?? 0) === outputs;
  return isDepthwise ? ['depthwise_kernel', 'bias'] : undefined;
}

/** Inputs × gates·h, h × gates·h, and one bias for each (or two: GRU). */
function isRecurrent(
  kernel: readonly number[],
  recurrent: readonly number[],
  bias: readonly number[],
): boolean {
  const [hidden = 0, stacked = 0] = recurrent;
  const gates = stacked / hidden;
  const isSquare = kernel.length === 2 && recurrent.length === 2 && kernel[1] === stacked;
  return (
    isSquare && (gates === 1 || gates === 3 || gates === 4) && bias.at(-1) === stacked && bias.length <= 2
  );
}
