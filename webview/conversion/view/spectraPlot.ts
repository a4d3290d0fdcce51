/** Spectra of several matrices of one layer, overlaid: chart or table, legend, pointer and keys. */
import { count, significant } from '../../model/numbers';
import type { SpectrumScale } from '../../model/spectrum';
import type { Theme } from '../../theme';
import { Chart, type Overlay } from '../../view/charts';
import { element } from '../../view/element';
import { Grid, type GridColumn } from '../../view/grid';
import type { HoverCard, HoverContent } from '../../view/hoverCard';
import { PlotView, type PlotWords } from '../../view/plotView';
import { Segmented } from '../../view/segmented';
import { spectrumConfig, type CurveStyle } from '../../view/spectrumChart';
import { relativeCurve, type NamedSpectrum } from '../model/spectra';

/** A spectrum, how it is drawn, and what the legend adds to its name. */
export interface DrawnSpectrum extends NamedSpectrum {
  readonly style: CurveStyle;
  readonly facts: string;
}

export interface SpectraState {
  /** In front first; the last is the original, whose largest value is 1. */
  readonly spectra: readonly DrawnSpectrum[];
  readonly scale: SpectrumScale;
  readonly as: 'chart' | 'table';
  readonly theme: Theme;
  /** Below the legend. */
  readonly remarks: readonly string[];
}

interface Row {
  /** From 1. */
  readonly index: number;
}

export interface SpectraActions {
  readonly setScale: (scale: SpectrumScale) => void;
  readonly toggleTable: () => void;
}

export class SpectraPlot extends PlotView<'line', { readonly x: number; readonly y: number }[]> {
  private readonly scale: Segmented<SpectrumScale>;
  private readonly grid: Grid<Row>;
  private readonly overlay: Overlay = { lines: [], cursor: undefined };
  private drawn: readonly unknown[] = [];
  private spectra: readonly DrawnSpectrum[] = [];

  constructor(
    words: PlotWords,
    private readonly actions: SpectraActions,
    hover: HoverCard,
  ) {
    const scale = new Segmented<SpectrumScale>(
      `Scale of: ${words.title}`,
      [
        { value: 'log', text: 'Log', title: 'Logarithmic' },
        { value: 'linear', text: 'Linear', title: 'Linear' },
      ],
      actions.setScale,
    );
    super(words, [scale.element], hover);
    this.scale = scale;
    this.grid = new Grid({ label: `${words.title} as a table`, role: 'grid', columns: [] });
    this.frame.tablePlace.append(this.grid.element);
    this.frame.legend.classList.add('legend-list');
  }

  render(state: SpectraState): void {
    const { spectra, scale, as, theme, remarks } = state;
    this.scale.set(scale);
    this.frame.showAs(as);
    const drawn = [scale, as, theme, ...remarks, ...spectra.flatMap(({ values, facts }) => [values, facts])];
    if (drawn.length === this.drawn.length && drawn.every((part, i) => part === this.drawn[i])) return;
    [this.drawn, this.spectra] = [drawn, spectra];
    this.renderLegend(spectra, remarks);
    if (as === 'table') this.renderTable(spectra);
    else this.renderChart(state);
    this.describe();
  }

  private renderChart({ spectra, scale, theme }: SpectraState): void {
    const original = spectra.at(-1)?.values ?? new Float64Array();
    const curves = spectra.map((spectrum) => relativeCurve(spectrum, original, scale));
    const styles = spectra.map(({ style }) => style);
    const config = spectrumConfig(curves, { view: 'values', scale }, theme, this.overlay, styles);
    if (this.chart === undefined) {
      this.chart = new Chart(this.frame.canvas, config);
      return;
    }
    this.chart.data = config.data;
    if (config.options !== undefined) this.chart.options = config.options;
    this.chart.update('none');
  }

  private renderTable(spectra: readonly DrawnSpectrum[]): void {
    this.grid.setColumns([
      {
        ...{ id: 'index', title: 'Index', description: 'Index of the singular value', align: 'end', grow: 1 },
        ...{ width: 56, priority: 0, sortable: false },
        text: ({ index }) => count(index),
      },
      ...spectra.map(({ label, values }, i): GridColumn<Row> => ({
        ...{ id: `spectrum${i}`, title: label, description: `σ: ${label}`, align: 'end', grow: 1 },
        ...{ width: 90, priority: i + 1, sortable: false },
        text: ({ index }) => {
          const value = values[index - 1];
          return value === undefined ? '' : significant(value);
        },
      })),
    ]);
    this.grid.setRows(Array.from({ length: this.count() }, (_, i) => ({ index: i + 1 })));
  }

  private renderLegend(spectra: readonly DrawnSpectrum[], remarks: readonly string[]): void {
    this.frame.legend.replaceChildren(
      ...spectra.map(({ label, facts, style }) => {
        const line = element('span', { class: 'swatch line' });
        line.style.background = style.colour;
        return element(
          'div',
          { class: 'legend-layer' },
          line,
          element('span', { text: label }),
          element('span', { class: 'legend-facts', text: facts }),
        );
      }),
      ...remarks.map((text) => element('div', { class: 'legend-remark', text })),
    );
  }

  /** Largest singular value of the original. */
  private top(): number {
    return this.spectra.at(-1)?.values[0] ?? 0;
  }

  protected override count(): number {
    return this.spectra.reduce((length, { values }) => Math.max(length, values.length), 0);
  }

  /** Singular values count from 1. */
  protected override coordinate(index: number): number {
    return index + 1;
  }

  protected override showCursor(index: number | undefined): void {
    this.overlay.cursor = index === undefined ? undefined : this.coordinate(index);
  }

  protected override content(index: number): HoverContent {
    const top = this.top();
    const lines = this.spectra.flatMap(({ label, values, style }) => {
      const value = values[index];
      if (value === undefined) return [];
      const text = `${significant(top > 0 ? value / top : 0)} (σ ${significant(value)})`;
      return [{ label, value: text, colour: style.colour }];
    });
    return { title: { text: `Index ${count(index + 1)}` }, lines };
  }

  protected override toggleTable(): void {
    this.actions.toggleTable();
  }

  protected override spoken(index: number): string {
    if (this.count() === 0) return 'nothing to show yet';
    const values = this.content(index).lines.map(({ label, value }) => `${label} ${value}`);
    return `index ${count(index + 1)}, σ over the original’s largest: ${values.join('; ')}`;
  }
}
