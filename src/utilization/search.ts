import type { Evaluation } from '../network/network';
import type { ProbeOutcome, Side } from './probe';

/** A layer as the search sees it: how many dimensions there are to choose from. */
export interface SearchedLayer {
  readonly inputs: number;
  readonly outputs: number;
}

/** What is tried next: the answer lies from `low` to `high`. */
export interface ProbeQuestion {
  readonly layer: number;
  readonly side: Side;
  readonly low: number;
  readonly high: number;
  readonly k: number;
  /** Probes made before this one. */
  readonly pass: number;
}

/** What the search does not do itself. */
export interface SearchHost {
  /**
   * The network's metric with one projection in place of a layer's weight: P_T·W·P_S with the dimensions given.
   * Cumulative: whatever was kept before stays.
   */
  probe(question: ProbeQuestion, kS: number, kT: number): Promise<number>;
  /** A layer's dimensions are known; in cumulative mode its projections stay from now on. */
  chosen(layer: number, choice: ChosenDimensions): Promise<void>;
  /** A probe was made. */
  probed?(layer: number, probe: ProbeOutcome): void;
}

export interface ChosenDimensions {
  readonly kS: number;
  readonly kT: number;
  readonly probes: readonly ProbeOutcome[];
  /** Cumulative: the metric with this layer's projections and all earlier ones; known without another pass. */
  readonly valueAfter?: number;
  /** The budget of passes ended before both dimensions were known: what was not found is the whole space. */
  readonly isCutShort: boolean;
}

export interface SearchSettings {
  readonly mode: 'cumulative' | 'independent';
  readonly metric: Evaluation['metric'];
  /** Metric of the original network. */
  readonly before: number;
  /** For each projection: percentage points of accuracy, or percent of the original loss. */
  readonly delta: number;
  /** Probes at most; absent: as many as it takes. */
  readonly maxPasses?: number | undefined;
}

/** Accuracies are counts of samples: only rounding of the comparison may be smaller than this. */
const SLACK = 1e-9;

/** Probes that finding one of n dimensions takes at most: ⌈log₂ n⌉. */
export function passesFor(n: number): number {
  return Math.ceil(Math.log2(Math.max(1, n)));
}

/** Probes that a search takes at most: Σ ⌈log₂ n⌉ + ⌈log₂ m⌉. */
export function passesBound(layers: readonly SearchedLayer[]): number {
  return layers.reduce((sum, { inputs, outputs }) => sum + passesFor(inputs) + passesFor(outputs), 0);
}

/**
 * What a metric must reach after the p-th projection (p = 1, 2, …): accuracy A₀ − p·δ, in percentage points; loss
 * A₀·(1 + p·δ/100). In independent mode each projection stands alone, p = 1.
 */
export function threshold({ mode, metric, before, delta }: SearchSettings, p: number): number {
  const allowed = (mode === 'cumulative' ? p : 1) * delta;
  return metric === 'accuracy' ? before - allowed : before + (Math.abs(before) * allowed) / 100;
}

function passes(metric: Evaluation['metric'], value: number, limit: number): boolean {
  // NaN passes neither way.
  return metric === 'accuracy' ? value >= limit - SLACK : value <= limit + SLACK;
}

/**
 * The search for utilized ranks (paper §2.2, §5.3): layers in order, for each the smallest k_S, then the smallest k_T,
 * whose projection keeps the metric within what δ allows. Each by bisection of 1 … n: the middle (rounded down) is
 * tried, and n itself never, being the layer as it was. The answer is the smallest dimension that passed, whether or
 * not the metric falls as k falls.
 */
export async function searchDimensions(
  layers: readonly SearchedLayer[],
  settings: SearchSettings,
  host: SearchHost,
): Promise<readonly ChosenDimensions[]> {
  const search = new Search(settings, host);
  const found: ChosenDimensions[] = [];
  for (const [index, layer] of layers.entries()) found.push(await search.layer(index, layer));
  return found;
}

class Search {
  private pass = 0;
  private value: number;

  constructor(
    private readonly settings: SearchSettings,
    private readonly host: SearchHost,
  ) {
    this.value = settings.before;
  }

  async layer(index: number, { inputs, outputs }: SearchedLayer): Promise<ChosenDimensions> {
    const isCumulative = this.settings.mode === 'cumulative';
    const probes: ProbeOutcome[] = [];
    const side = (name: Side, n: number, p: number, at: (k: number) => readonly [number, number]) =>
      this.smallest(index, name, n, threshold(this.settings, p), at, probes);
    const input = await side('input', inputs, 2 * index + 1, (k) => [k, outputs]);
    const kept = isCumulative ? input.k : inputs;
    const output = await side('output', outputs, 2 * index + 2, (k) => [kept, k]);
    const choice: ChosenDimensions = {
      kS: input.k,
      kT: output.k,
      probes,
      isCutShort: input.isCutShort || output.isCutShort,
      ...(isCumulative && { valueAfter: this.value }),
    };
    await this.host.chosen(index, choice);
    return choice;
  }

  private async smallest(
    layer: number,
    side: Side,
    n: number,
    limit: number,
    at: (k: number) => readonly [kS: number, kT: number],
    probes: ProbeOutcome[],
  ): Promise<{ readonly k: number; readonly isCutShort: boolean }> {
    let low = 1;
    let high = n;
    while (low < high) {
      if (this.pass >= (this.settings.maxPasses ?? Infinity)) return { k: high, isCutShort: true };
      const k = Math.floor((low + high) / 2);
      const [kS, kT] = at(k);
      const value = await this.host.probe({ layer, side, low, high, k, pass: this.pass }, kS, kT);
      const passed = passes(this.settings.metric, value, limit);
      const probe = { pass: this.pass++, side, k, value, threshold: limit, passed };
      probes.push(probe);
      this.host.probed?.(layer, probe);
      if (passed) {
        high = k;
        this.value = value;
      } else low = k + 1;
    }
    return { k: high, isCutShort: false };
  }
}
