import type { ProbeQuestion } from '../../utilization';
import { passesFor } from '../../utilization';
import type { Progress } from '../progress';

/** Probes whose time tells that of the next ones: late layers are quicker, since what comes before them is kept. */
const RECENT = 8;

/** Progress of a search by the probes that it will take at most, and of passes over the data by their share. */
export class SearchProgress {
  private readonly recentSeconds: number[] = [];
  private readonly passesAfter: readonly number[];
  private readonly total: number;
  private stageStarted = performance.now();

  /** @param layers dimensions of each, in the order of the search */
  constructor(
    private readonly layers: readonly {
      readonly name: string;
      readonly inputs: number;
      readonly outputs: number;
    }[],
    private readonly maxPasses: number,
    private readonly report: (progress: Progress) => void,
  ) {
    const passes = layers.map(({ inputs, outputs }) => passesFor(inputs) + passesFor(outputs));
    this.passesAfter = passes.map((_, i) => passes.slice(i + 1).reduce((sum, count) => sum + count, 0));
    this.total = passes.reduce((sum, count) => sum + count, 0);
  }

  /** Something that takes a pass over the data, or over the layers, begins. */
  begin(label: string): void {
    this.stageStarted = performance.now();
    this.fraction(label, 0);
  }

  /** How far it is, 0 … 1. */
  fraction(label: string, fraction: number): void {
    const seconds = (performance.now() - this.stageStarted) / 1000;
    this.report({
      done: 0,
      total: this.layers.length,
      fraction: Math.min(1, fraction),
      label,
      ...(fraction > 0 && { secondsLeft: (seconds * (1 - fraction)) / fraction }),
    });
  }

  /** A probe is about to be made. */
  question({ layer, side, low, high, k, pass }: ProbeQuestion): void {
    const { name = '', outputs = 1 } = this.layers[layer] ?? {};
    const here = passesFor(high - low + 1) + (side === 'input' ? passesFor(outputs) : 0);
    const left = Math.min(here + (this.passesAfter[layer] ?? 0), this.maxPasses - pass);
    const seconds = this.recentSeconds.reduce((sum, one) => sum + one, 0) / this.recentSeconds.length;
    this.report({
      done: layer,
      total: this.layers.length,
      fraction: this.total === 0 ? 1 : Math.max(0, 1 - left / this.total),
      label: `${name} ${side} k = ${k}`,
      ...(this.recentSeconds.length > 0 && { secondsLeft: left * seconds }),
    });
  }

  /** A probe took this long. */
  took(seconds: number): void {
    this.recentSeconds.push(seconds);
    if (this.recentSeconds.length > RECENT) this.recentSeconds.shift();
  }

  finished(label: string): void {
    this.report({ done: this.layers.length, total: this.layers.length, fraction: 1, label });
  }
}
