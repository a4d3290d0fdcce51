/** One layer: how the network fares with fewer dimensions, or the spectrum of what the layer sees and says. */
import type { Probe } from '../../../src/engine/utilizationDocument';
import { printable } from '../../model/names';
import { count, significant } from '../../model/numbers';
import type { Theme } from '../../theme';
import { Chart, type Overlay } from '../../view/charts';
import { element, setText } from '../../view/element';
import { Grid } from '../../view/grid';
import type { HoverCard, HoverContent } from '../../view/hoverCard';
import { nameText } from '../../view/nameText';
import { PlotView } from '../../view/plotView';
import { Segmented } from '../../view/segmented';
import { searchCurve, spectrumCurve, type LayerCurve, type XY } from '../model/curves';
import type { MeasuredLayer } from '../model/state';
import type { LayerView, ViewState } from '../model/viewState';
import { metricText, type Metric } from '../model/words';
import { layerConfig } from './layerChart';

type Changes = Partial<Pick<ViewState, 'side' | 'layerView' | 'layerAs'>>;

const NO_CURVE: LayerCurve = { points: [], passed: [], failed: [], length: 0 };

export class LayerPlot extends PlotView<'line', XY[]> {
  private readonly what: Segmented<LayerView>;
  private readonly side: Segmented<'input' | 'output'>;
  private readonly name = element('div', { class: 'section-name' });
  private readonly grid: Grid<XY>;
  private readonly overlay: Overlay = { lines: [], cursor: undefined };
  private readonly change: (change: Changes) => void;
  private drawn: readonly unknown[] = [];
  private curve = NO_CURVE;
  private view: Pick<ViewState, 'side' | 'layerView' | 'layerAs'> | undefined;
  private metric: Metric | undefined;

  constructor(change: (change: Changes) => void, hover: HoverCard) {
    const what = new Segmented<LayerView>(
      'What is shown of the layer',
      [
        { value: 'search', text: 'Search', title: 'The network’s accuracy against the dimensions kept' },
        { value: 'spectrum', text: 'Spectrum', title: 'Energy of the inputs or outputs by direction' },
      ],
      (layerView) => {
        change({ layerView });
      },
    );
    const side = new Segmented<'input' | 'output'>(
      'Side of the layer',
      [
        { value: 'input', text: 'Inputs', title: 'The input subspace S' },
        { value: 'output', text: 'Outputs', title: 'The output subspace T' },
      ],
      (chosen) => {
        change({ side: chosen });
      },
    );
    super({ title: 'Layer', keys: 'Dimensions of the selected layer' }, [what.element, side.element], hover);
    this.what = what;
    this.side = side;
    this.change = change;
    this.grid = new Grid({ label: 'The layer as a table', role: 'grid', columns: [] });
    this.frame.tablePlace.append(this.grid.element);
    this.element.querySelector('.plot-head')?.after(this.name);
  }

  render(
    layer: MeasuredLayer | undefined,
    probes: readonly Probe[],
    view: ViewState,
    metric: Metric | undefined,
    theme: Theme,
  ): void {
    this.what.set(view.layerView);
    this.side.set(view.side);
    this.frame.showAs(view.layerAs);
    if (this.name.dataset.shown !== layer?.name) {
      this.name.dataset.shown = layer?.name ?? '';
      this.name.replaceChildren(...(layer === undefined ? [] : [nameText(layer.name)]));
    }
    const drawn = [layer, probes, view.layerView, view.side, view.layerAs, theme];
    if (drawn.every((part, i) => part === this.drawn[i]) && this.drawn.length > 0) return;
    this.drawn = drawn;
    this.view = view;
    this.metric = metric;
    this.curve = curveOf(layer, probes, view);
    setText(this.frame.legend, legendText(layer, this.curve, view));
    if (view.layerAs === 'table') this.renderTable(view);
    else this.renderChart(view.layerView, theme);
    this.describe();
  }

  private renderChart(view: LayerView, theme: Theme): void {
    const config = layerConfig(this.curve, { view, metric: this.metric, theme }, this.overlay);
    if (this.chart === undefined) {
      this.chart = new Chart(this.frame.canvas, config);
      return;
    }
    this.chart.data = config.data;
    if (config.options !== undefined) this.chart.options = config.options;
    this.chart.update('none');
  }

  private renderTable({ layerView }: ViewState): void {
    const common = { align: 'end', width: 80, grow: 1, sortable: false } as const;
    const title = layerView === 'search' ? (this.metric ?? 'value') : 'share of energy';
    this.grid.setColumns([
      {
        ...common,
        ...{ id: 'k', title: 'Dimensions', description: 'Dimensions kept', priority: 0 },
        text: ({ x }) => count(x),
      },
      {
        ...common,
        ...{ id: 'value', title, description: title, priority: 1 },
        text: ({ y }) => this.valueText(y),
      },
    ]);
    this.grid.setRows(this.curve.points);
  }

  private valueText(value: number): string {
    return this.view?.layerView === 'search' ? metricText(this.metric, value) : significant(value);
  }

  protected override count(): number {
    return this.curve.length;
  }

  protected override coordinate(index: number): number {
    return index + 1;
  }

  protected override showCursor(index: number | undefined): void {
    this.overlay.cursor = index === undefined ? undefined : this.coordinate(index);
  }

  /** The point at this dimension, or of the nearest that there is one of. */
  private nearest(index: number): XY | undefined {
    let best: XY | undefined;
    for (const point of this.curve.points)
      if (best === undefined || Math.abs(point.x - index - 1) < Math.abs(best.x - index - 1)) best = point;
    return best;
  }

  protected override content(index: number): HoverContent | undefined {
    const point = this.nearest(index);
    if (point === undefined) return undefined;
    const label = this.view?.layerView === 'search' ? (this.metric ?? 'value') : 'share of energy';
    return {
      title: { text: `${count(point.x)} of ${count(this.curve.length)} dimensions` },
      lines: [{ label, value: this.valueText(point.y) }],
    };
  }

  protected override toggleTable(): void {
    this.change({ layerAs: this.view?.layerAs === 'table' ? 'chart' : 'table' });
  }

  protected override spoken(index: number): string {
    const point = this.nearest(index);
    if (point === undefined) return 'nothing to show yet';
    return `${count(point.x)} dimensions, ${this.valueText(point.y)}`;
  }
}

function curveOf(
  layer: MeasuredLayer | undefined,
  probes: readonly Probe[],
  { layerView, side }: ViewState,
): LayerCurve {
  if (layer === undefined) return NO_CURVE;
  return layerView === 'search' ? searchCurve(layer, probes, side) : spectrumCurve(layer, side);
}

function legendText(
  layer: MeasuredLayer | undefined,
  { points, chosen, length }: LayerCurve,
  { layerView, side }: ViewState,
): string {
  if (layer === undefined) return 'Select a layer.';
  const name = side === 'input' ? 'k_S' : 'k_T';
  const found = chosen === undefined ? '' : `${name} = ${count(chosen)} of ${count(length)} (dotted).`;
  if (layerView === 'spectrum')
    return points.length === 0 ? `Known once ${printable(layer.name)} is measured.` : found;
  if (points.length === 0) return found === '' ? 'Not searched yet.' : `${found} Nothing was searched here.`;
  return `${found} Filled: enough was kept; hollow: too little.`.trim();
}
