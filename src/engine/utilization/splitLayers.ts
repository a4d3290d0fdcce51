import type { Compute, Factors } from '../../utilization';
import type { MeasuredLayer } from './measuredLayers';

/** A layer as two, in the float32 in which it is written. */
export interface SplitLayer extends MeasuredLayer {
  readonly rank: number;
  /** groups·r × n: what the inputs meet first. */
  readonly first: Float32Array;
  /** groups·m × r. */
  readonly second: Float32Array;
}

/** @param factors W′ at this rank, one pair a group */
export function splitLayer(entry: MeasuredLayer, rank: number, factors: readonly Factors[]): SplitLayer {
  return {
    ...entry,
    rank,
    first: joined(factors.map(({ right }) => right)),
    second: joined(factors.map(({ left }) => left)),
  };
}

function joined(parts: readonly Float64Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let start = 0;
  for (const part of parts) {
    whole.set(part, start);
    start += part.length;
  }
  return whole;
}

/** The weight that the two layers make, one after the other: groups × m × n. */
export async function productOf(
  { layer: { shape, groups }, rank, first, second }: SplitLayer,
  { backend, signal }: Compute,
): Promise<Float64Array> {
  const [m, n] = shape;
  const weight = new Float64Array(groups * m * n);
  for (let g = 0; g < groups; g++) {
    const A = Float64Array.from(second.subarray(g * m * rank, (g + 1) * m * rank));
    const B = Float64Array.from(first.subarray(g * rank * n, (g + 1) * rank * n));
    weight.set(await backend.product({ A, B, rows: m, inner: rank, columns: n }, signal), g * m * n);
  }
  return weight;
}
