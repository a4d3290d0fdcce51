import type { PanelLayer } from '../model/audit';
import { count, rank, significant } from '../model/numbers';
import { printable } from '../model/names';
import { curve, energies, MAX_CURVES, normalised, type Curve } from '../model/spectrum';
import type { ViewState } from '../model/viewState';
import type { Theme } from '../theme';
import { Chart, type Overlay } from './charts';
import { Grid } from './grid';
import type { HoverCard, HoverContent, HoverLine } from './hoverCard';
import { spectrumColumns, type SpectrumRow } from './plotColumns';
import { PlotView } from './plotView';
import { Segmented } from './segmented';
import { curveStyle, spectrumConfig } from './spectrumChart';
import { SpectrumLegend, type LegendActions } from './spectrumLegend';

export interface SpectrumActions extends LegendActions {
  readonly change: (change: Partial<ViewState>) => void;
}

/** The layers to draw. */
export interface Chosen {
  readonly layers: readonly PanelLayer[];
  /** False while nobody has chosen: then one is shown as an example. */
  readonly byHand: boolean;
}

/** The spectrum plot: overlaid curves or their table, legend, pointer and keys. */
export class SpectrumView extends PlotView<'line', { readonly x: number; readonly y: number }[]> {
  private readonly viewChoice: Segmented<'values' | 'energy'>;
  private readonly scaleChoice: Segmented<'log' | 'linear'>;
  private readonly legend: SpectrumLegend;
  private readonly grid: Grid<SpectrumRow>;
  private readonly overlay: Overlay = { lines: [], cursor: undefined };
  private drawn: readonly unknown[] = [];
  private layers: readonly PanelLayer[] = [];
  private theme: Theme | undefined;
  private view: ViewState | undefined;

  constructor(
    private readonly actions: SpectrumActions,
    hover: HoverCard,
  ) {
    const viewChoice = new Segmented<'values' | 'energy'>(
      'What the spectrum shows',
      [
        { value: 'values', text: 'σ', title: 'Singular values, normalised by the largest' },
        { value: 'energy', text: 'Energy', title: 'Share of the energy Σσ² that the first values hold' },
      ],
      (spectrumView) => {
        actions.change({ spectrumView });
      },
    );
    const scaleChoice = new Segmented<'log' | 'linear'>(
      'Scale of the spectrum',
      [
        { value: 'log', text: 'Log', title: 'Logarithmic; for energy, by the number of nines' },
        { value: 'linear', text: 'Linear', title: 'Linear' },
      ],
      (spectrumScale) => {
        actions.change({ spectrumScale });
      },
    );
    super(
      { title: 'Spectrum', keys: 'Singular values of the selected layers' },
      [viewChoice.element, scaleChoice.element],
      hover,
    );
    [this.viewChoice, this.scaleChoice] = [viewChoice, scaleChoice];
    this.legend = new SpectrumLegend(this.frame.legend, actions);
    this.grid = new Grid({ label: 'Spectrum as a table', role: 'grid', columns: [] });
    this.frame.tablePlace.append(this.grid.element);
  }

  render(chosen: Chosen, view: ViewState, theme: Theme): void {
    const layers = chosen.layers.slice(0, MAX_CURVES);
    this.viewChoice.set(view.spectrumView);
    this.scaleChoice.set(view.spectrumScale);
    this.frame.showAs(view.spectrumAs);
    this.legend.render(chosen, view, theme);
    const drawn = [theme, view.spectrumView, view.spectrumScale, view.spectrumAs, ...layers];
    [this.view, this.theme] = [view, theme];
    if (drawn.length === this.drawn.length && drawn.every((part, i) => part === this.drawn[i])) return;
    [this.drawn, this.layers] = [drawn, layers];
    if (view.spectrumAs === 'table') this.renderTable(layers, view);
    else this.renderChart(layers, view, theme);
    this.describe();
  }

  /** @returns the configuration of the chart as it is, for drawing it elsewhere */
  configuration(chosen: Chosen, view: ViewState, theme: Theme) {
    return spectrumConfig(curvesOf(chosen.layers.slice(0, MAX_CURVES), view), lookOf(view), theme, {
      lines: [],
      cursor: undefined,
    });
  }

  private renderTable(layers: readonly PanelLayer[], view: ViewState): void {
    this.grid.setColumns(spectrumColumns(layers, view.spectrumView));
    this.grid.setRows(Array.from({ length: longest(layers) }, (_, i) => ({ index: i + 1 })));
  }

  private renderChart(layers: readonly PanelLayer[], view: ViewState, theme: Theme): void {
    const config = spectrumConfig(curvesOf(layers, view), lookOf(view), theme, this.overlay);
    if (this.chart === undefined) {
      this.chart = new Chart(this.frame.canvas, config);
      return;
    }
    this.chart.data = config.data;
    if (config.options !== undefined) this.chart.options = config.options;
    this.chart.update('none');
  }

  protected override count(): number {
    return longest(this.layers);
  }

  /** Singular values count from 1. */
  protected override coordinate(index: number): number {
    return index + 1;
  }

  protected override showCursor(index: number | undefined): void {
    this.overlay.cursor = index === undefined ? undefined : this.coordinate(index);
  }

  protected override content(index: number): HoverContent {
    return { title: { text: `Index ${count(index + 1)}` }, lines: this.lines(index) };
  }

  protected override toggleTable(): void {
    this.actions.change({ spectrumAs: this.view?.spectrumAs === 'table' ? 'chart' : 'table' });
  }

  protected override spoken(index: number): string {
    if (this.count() === 0) return 'no layer selected';
    const what = this.view?.spectrumView === 'energy' ? 'energy held' : 'σ over σ₁';
    const values = this.lines(index).map(({ label, value }) => `${printable(label)} ${value}`);
    return `index ${count(index + 1)}, ${what}: ${values.join('; ')}`;
  }

  private lines(index: number): HoverLine[] {
    const energy = this.view?.spectrumView === 'energy';
    return this.layers.flatMap(({ facts, spectrum }, i) => {
      if (index >= spectrum.length) return [];
      const value = energy ? energies(spectrum, 'linear')[index] : normalised(spectrum)[index];
      const colour = this.theme === undefined ? '' : curveStyle(this.theme, i).colour;
      const singular = `${significant(value ?? 0)} (σ ${significant(spectrum[index] ?? 0)})`;
      const text = energy ? `${((value ?? 0) * 100).toFixed(3)} %` : singular;
      return [{ label: facts.name, value: text, colour, isName: true }];
    });
  }
}

function lookOf({ spectrumView, spectrumScale }: ViewState) {
  return { view: spectrumView, scale: spectrumScale } as const;
}

function curvesOf(layers: readonly PanelLayer[], { spectrumView, spectrumScale }: ViewState): Curve[] {
  return layers.map((layer) => curve(layer, spectrumView, spectrumScale));
}

function longest(layers: readonly PanelLayer[]): number {
  return layers.reduce((length, { spectrum }) => Math.max(length, spectrum.length), 0);
}

/** What the legend says of a layer besides its name. */
export function rankWords({ facts }: PanelLayer): string {
  return `rank ${rank(facts.rank)} of ${count(facts.maxRank)}`;
}
