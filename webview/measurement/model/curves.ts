/** What the plot of one layer draws: probes of the search, or the spectrum of its inputs or outputs. */
import type { Probe } from '../../../src/engine/utilizationDocument';
import type { MeasuredLayer } from './state';

export interface XY {
  readonly x: number;
  readonly y: number;
}

/** Shares below this are rounding of the Gram matrix, and would only stretch the axis. */
export const SMALLEST_SHARE = 1e-9;

export interface LayerCurve {
  /** In order of x. */
  readonly points: readonly XY[];
  /** Probes that kept enough, and those that did not; equally long lists of no other curve. */
  readonly passed: readonly XY[];
  readonly failed: readonly XY[];
  /** The dimension that was chosen. */
  readonly chosen?: number;
  /** What every probe was held against. */
  readonly threshold?: number;
  /** Dimensions there are. */
  readonly length: number;
}

/** Accuracy (or loss) against k, for one side of one layer. */
export function searchCurve(
  { shape, result }: MeasuredLayer,
  probes: readonly Probe[],
  side: 'input' | 'output',
): LayerCurve {
  const here = probes.filter((probe) => probe.side === side);
  const at = ({ k, value }: Probe): XY => ({ x: k, y: value });
  const points = here.map(at).sort((a, b) => a.x - b.x);
  const threshold = here.at(-1)?.threshold;
  return {
    points,
    passed: here.filter(({ passed }) => passed).map(at),
    failed: here.filter(({ passed }) => !passed).map(at),
    length: side === 'input' ? shape[1] : shape[0],
    ...chosenOf(result, side),
    ...(threshold !== undefined && { threshold }),
  };
}

/** Eigenvalues of the Gram of a layer's inputs or outputs, as shares of their sum. */
export function spectrumCurve({ shape, result }: MeasuredLayer, side: 'input' | 'output'): LayerCurve {
  const energies = side === 'input' ? result?.inputEnergies : result?.outputEnergies;
  const points = Array.from(energies ?? [], (y, i) => ({ x: i + 1, y: Math.max(SMALLEST_SHARE, y) }));
  const length = side === 'input' ? shape[1] : shape[0];
  return { points, passed: [], failed: [], length, ...chosenOf(result, side) };
}

function chosenOf(result: MeasuredLayer['result'], side: 'input' | 'output'): { readonly chosen?: number } {
  return result === undefined ? {} : { chosen: side === 'input' ? result.kS : result.kT };
}
