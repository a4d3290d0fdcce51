import type { PanelLayer } from '../model/audit';
import { count, rank, significant } from '../model/numbers';
import { printable } from '../model/names';
import { curve, energies, MAX_CURVES, normalised, type Curve } from '../model/spectrum';
import type { ViewState } from '../model/viewState';
import type { Theme } from '../theme';
import { Chart, type Overlay } from './charts';
import { Grid } from './grid';
import type { HoverCard, HoverLine } from './hoverCard';
import { spectrumColumns, type SpectrumRow } from './plotColumns';
import { moved, PlotFrame, type PlotMove } from './plotFrame';
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
export class SpectrumView {
  readonly element: HTMLElement;
  private readonly frame: PlotFrame;
  private readonly viewChoice: Segmented<'values' | 'energy'>;
  private readonly scaleChoice: Segmented<'log' | 'linear'>;
  private readonly legend: SpectrumLegend;
  private readonly grid: Grid<SpectrumRow>;
  private readonly overlay: Overlay = { lines: [], cursor: undefined };
  private chart: Chart<'line', { readonly x: number; readonly y: number }[]> | undefined;
  private drawn: readonly unknown[] = [];
  private layers: readonly PanelLayer[] = [];
  private theme: Theme | undefined;
  private view: ViewState | undefined;
  private position = 0;

  constructor(
    private readonly actions: SpectrumActions,
    private readonly hover: HoverCard,
  ) {
    this.viewChoice = new Segmented(
      'What the spectrum shows',
      [
        { value: 'values', text: 'σ', title: 'Singular values, normalised by the largest' },
        { value: 'energy', text: 'Energy', title: 'Share of the energy Σσ² that the first values hold' },
      ],
      (spectrumView) => {
        actions.change({ spectrumView });
      },
    );
    this.scaleChoice = new Segmented(
      'Scale of the spectrum',
      [
        { value: 'log', text: 'Log', title: 'Logarithmic; for energy, by the number of nines' },
        { value: 'linear', text: 'Linear', title: 'Linear' },
      ],
      (spectrumScale) => {
        actions.change({ spectrumScale });
      },
    );
    this.frame = this.makeFrame();
    this.element = this.frame.element;
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

  private makeFrame(): PlotFrame {
    const controls = [this.viewChoice.element, this.scaleChoice.element];
    return new PlotFrame('Spectrum', 'Singular values of the selected layers', controls, {
      onPoint: (x, clientX, clientY) => {
        const index = this.indexAt(x);
        if (index === undefined) this.leave();
        else this.point(index, clientX, clientY);
      },
      onLeave: () => {
        this.leave();
      },
      onClick: () => undefined,
      onMove: (move) => {
        this.move(move);
      },
      onChoose: () => undefined,
      onToggleTable: () => {
        this.actions.change({ spectrumAs: this.view?.spectrumAs === 'table' ? 'chart' : 'table' });
      },
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

  private indexAt(x: number): number | undefined {
    const area = this.chart?.chartArea;
    const value = this.chart?.scales.x?.getValueForPixel(x);
    if (area === undefined || value === undefined || x < area.left - 4 || x > area.right + 4)
      return undefined;
    return Math.max(0, Math.min(longest(this.layers) - 1, Math.round(value) - 1));
  }

  private point(index: number, clientX: number, clientY: number): void {
    if (this.layers.length === 0) return;
    this.overlay.cursor = index + 1;
    this.chart?.draw();
    this.hover.show(
      { title: { text: `Index ${count(index + 1)}` }, lines: this.lines(index) },
      clientX,
      clientY,
    );
  }

  private leave(): void {
    this.hover.hide();
    if (this.overlay.cursor === undefined) return;
    this.overlay.cursor = undefined;
    this.chart?.draw();
  }

  private move(move: PlotMove): void {
    if (this.layers.length === 0) return;
    this.position = moved(this.position, move, longest(this.layers));
    this.describe();
    const x = this.chart?.scales.x?.getPixelForValue(this.position + 1) ?? 0;
    this.point(this.position, ...this.frame.toWindow(x));
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

  private describe(): void {
    const length = longest(this.layers);
    this.position = Math.min(this.position, Math.max(0, length - 1));
    const what = this.view?.spectrumView === 'energy' ? 'energy held' : 'σ over σ₁';
    const values = this.lines(this.position).map(({ label, value }) => `${printable(label)} ${value}`);
    const text =
      length === 0 ? 'no layer selected' : `index ${count(this.position + 1)}, ${what}: ${values.join('; ')}`;
    this.frame.setPosition(this.position + 1, length, text);
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
