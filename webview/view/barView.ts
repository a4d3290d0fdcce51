/** A bar a layer, with what plots have in common and a legend of the series. */
import type { Theme } from '../theme';
import { barConfig, barDatasets, type BarMarks, type BarScale, type BarSeries } from './barChart';
import { Chart } from './charts';
import { element } from './element';
import { PlotView } from './plotView';

export interface Bars {
  readonly labels: readonly string[];
  /** In front first. */
  readonly series: readonly BarSeries[];
  readonly scale: BarScale;
  readonly theme: Theme;
  /** The same as before as long as labels and series are. */
  readonly data: unknown;
}

export abstract class BarView extends PlotView<'bar', (number | null)[]> {
  protected readonly marks: BarMarks = { cursor: undefined, selected: new Map() };
  private drawn: Pick<Bars, 'theme' | 'scale' | 'data'> | undefined;

  protected drawBars({ labels, series, scale, theme, data }: Bars): void {
    const before = this.drawn;
    this.drawn = { theme, scale, data };
    if (this.chart === undefined || before?.theme !== theme || before.scale !== scale) {
      this.chart?.destroy();
      this.chart = new Chart(this.frame.canvas, barConfig(labels, series, scale, theme, this.marks));
    } else if (before.data !== data) {
      const fresh = barDatasets(series, theme);
      this.chart.data.labels = [...labels];
      this.chart.data.datasets.length = fresh.length;
      fresh.forEach((dataset, i) => {
        // Keeping the object keeps what Chart.js has laid out for it.
        const old = this.chart?.data.datasets[i];
        if (old === undefined) this.chart?.data.datasets.splice(i, 1, dataset);
        else Object.assign(old, dataset);
      });
      this.chart.update('none');
    } else {
      this.chart.draw();
    }
  }

  /** A swatch and a word for each series. */
  protected drawLegend(series: readonly BarSeries[]): void {
    const signature = JSON.stringify(series.map(({ label, colour }) => [label, colour]));
    const { legend } = this.frame;
    if (legend.dataset.shown === signature) return;
    legend.dataset.shown = signature;
    legend.replaceChildren(
      ...series.map(({ label, colour }) => {
        const swatch = element('span', { class: 'swatch' });
        swatch.style.background = colour;
        return element('span', { class: 'legend-entry' }, swatch, label);
      }),
    );
  }

  protected override coordinate(index: number): number {
    return index;
  }

  protected override showCursor(index: number | undefined): void {
    this.marks.cursor = index;
  }
}
