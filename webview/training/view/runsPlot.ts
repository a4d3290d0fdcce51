/** The live chart: one quantity of the runs on show, against steps, epochs or time. */
import { count } from '../../model/numbers';
import type { Theme } from '../../theme';
import { checkbox, dropdown, type ToggleControl } from '../../toolkit';
import { Chart, type Overlay } from '../../view/charts';
import { Grid, type GridColumn } from '../../view/grid';
import type { HoverCard, HoverContent } from '../../view/hoverCard';
import { PlotView } from '../../view/plotView';
import { Segmented } from '../../view/segmented';
import type { CurveId } from '../protocol';
import { plotData, readingsAt, type PlotData, type PlotLook } from '../model/plot';
import type { XAxis, XY } from '../model/points';
import type { TrainingState } from '../model/state';
import type { Variant } from '../model/variants';
import type { ViewState } from '../model/viewState';
import { curveText, curveTitle } from '../model/words';
import { PlotLegend } from './plotLegend';
import { lineColour, placeText, runsConfig } from './runsChart';

type Changes = Partial<Pick<ViewState, 'quantity' | 'x' | 'log' | 'smooth' | 'hidden' | 'plotAs'>>;

/** What the chart is of. */
export interface RunsShown {
  readonly state: TrainingState;
  readonly variants: readonly Variant[];
  /** Quantities that there are. */
  readonly quantities: readonly CurveId[];
  readonly quantity: CurveId;
}

const NO_DATA: PlotData = { lines: [], places: [] };

/** Lines named beside the pointer, and columns of the table. */
const MAX_NAMED = 12;

interface PlaceRow {
  readonly x: number;
}

export class RunsPlot extends PlotView<'line', XY[]> {
  private readonly quantity;
  private readonly x: Segmented<XAxis>;
  private readonly log: ToggleControl;
  private readonly smooth: ToggleControl;
  private readonly legend: PlotLegend;
  private readonly grid: Grid<PlaceRow>;
  private readonly overlay: Overlay = { lines: [], cursor: undefined };
  private readonly change: (change: Changes) => void;
  private drawn: readonly unknown[] = [];
  private data = NO_DATA;
  private look: PlotLook = { quantity: 'loss', x: 'step', log: false, smooth: false, hidden: [] };
  private as: 'chart' | 'table' = 'chart';
  private theme: Theme | undefined;

  constructor(change: (change: Changes) => void, hover: HoverCard) {
    const quantity = dropdown('Quantity on the chart', (chosen) => {
      change({ quantity: chosen });
    });
    const x = new Segmented<XAxis>('Along the chart', AXES, (chosen) => {
      change({ x: chosen });
    });
    const log = checkbox('Log', (chosen) => {
      change({ log: chosen });
    });
    log.element.title = 'Logarithmic scale';
    const smooth = checkbox('Smooth', (chosen) => {
      change({ smooth: chosen });
    });
    smooth.element.title = 'Moving mean instead of the values themselves';
    const controls = [quantity.element, x.element, log.element, smooth.element];
    super({ title: 'Progress', keys: 'Moments of the runs on show' }, controls, hover);
    this.quantity = quantity;
    this.x = x;
    this.log = log;
    this.smooth = smooth;
    this.change = change;
    this.legend = new PlotLegend(this.frame.legend, (hidden) => {
      change({ hidden });
    });
    this.grid = new Grid({ label: 'Progress as a table', role: 'grid', columns: [] });
    this.frame.tablePlace.append(this.grid.element);
  }

  render({ state, variants, quantities, quantity }: RunsShown, view: ViewState, theme: Theme): void {
    this.renderControls(quantities, quantity, view);
    // Of all that streams in, only what is on the chart makes it another.
    const told = variants.flatMap(({ runs }) =>
      runs.map(({ folder }) => state.curves.get(folder)?.get(quantity)),
    );
    const drawn = [
      ...told,
      variants,
      quantity,
      view.x,
      view.log,
      view.smooth,
      view.hidden,
      view.plotAs,
      theme,
    ];
    if (drawn.length === this.drawn.length && drawn.every((part, i) => part === this.drawn[i])) return;
    this.drawn = drawn;
    const { x, log, smooth, hidden } = view;
    this.look = { quantity, x, log, smooth, hidden };
    this.theme = theme;
    this.as = view.plotAs;
    this.data = plotData(state, variants, this.look);
    this.legend.render(variants, hidden, theme, this.data);
    if (view.plotAs === 'table') this.renderTable(variants);
    else this.renderChart(theme);
    this.describe();
  }

  private renderControls(quantities: readonly CurveId[], quantity: CurveId, view: ViewState): void {
    const told = quantities.length > 0 ? quantities : [quantity];
    this.quantity.set(
      told.map((id) => ({ value: id, text: curveTitle(id) })),
      quantity,
    );
    this.x.set(view.x);
    this.log.checked = view.log;
    this.smooth.checked = view.smooth;
    this.frame.showAs(view.plotAs);
  }

  private renderChart(theme: Theme): void {
    const config = runsConfig(this.data, this.look, theme, this.overlay);
    if (this.chart === undefined) {
      this.chart = new Chart(this.frame.canvas, config);
      return;
    }
    this.chart.data = config.data;
    if (config.options !== undefined) this.chart.options = config.options;
    this.chart.update('none');
  }

  private renderTable(variants: readonly Variant[]): void {
    const labels = variants.map(({ label }) => label).slice(0, MAX_NAMED);
    const common = { align: 'end', grow: 1, sortable: false } as const;
    const columns: GridColumn<PlaceRow>[] = [
      {
        ...{ ...common, id: 'x', title: this.look.x, description: `Place: ${this.look.x}` },
        ...{ width: 90, priority: 0 },
        text: ({ x }) => placeText(this.look.x, x),
      },
      ...labels.map((label, i) => ({
        ...{ ...common, id: `run${i}`, title: label, description: label, width: 90, priority: i + 1 },
        text: ({ x }: PlaceRow) => {
          const value = readingsAt(this.data, x).find((reading) => reading.label === label)?.value;
          return value === undefined ? '' : curveText(this.look.quantity, value);
        },
      })),
    ];
    this.grid.setColumns(columns);
    this.grid.setRows(this.data.places.map((x) => ({ x })));
  }

  protected override count(): number {
    return this.data.places.length;
  }

  protected override coordinate(index: number): number {
    return this.data.places[index] ?? 0;
  }

  protected override placeNear(value: number): number {
    const { places } = this.data;
    let best = 0;
    places.forEach((place, i) => {
      if (Math.abs(place - value) < Math.abs((places[best] ?? 0) - value)) best = i;
    });
    return best;
  }

  protected override showCursor(index: number | undefined): void {
    this.overlay.cursor = index === undefined ? undefined : this.coordinate(index);
  }

  protected override content(index: number): HoverContent | undefined {
    const { theme } = this;
    const x = this.data.places[index];
    if (x === undefined || theme === undefined) return undefined;
    const readings = readingsAt(this.data, x);
    const lines = readings.slice(0, MAX_NAMED).map(({ label, value, style, isMean }) => ({
      label: isMean ? `${label}, mean` : label,
      value: curveText(this.look.quantity, value),
      colour: lineColour(theme, style),
    }));
    const more = readings.length - lines.length;
    return {
      title: { text: placeText(this.look.x, x) },
      lines: more > 0 ? [...lines, { label: `${count(more)} more`, value: '' }] : lines,
    };
  }

  protected override spoken(index: number): string {
    const x = this.data.places[index];
    if (x === undefined) return 'nothing to show yet';
    const readings = readingsAt(this.data, x)
      .slice(0, MAX_NAMED)
      .map(({ label, value }) => `${label} ${curveText(this.look.quantity, value)}`);
    return [placeText(this.look.x, x), ...readings].join(', ');
  }

  protected override toggleTable(): void {
    this.change({ plotAs: this.as === 'table' ? 'chart' : 'table' });
  }
}

const AXES = [
  { value: 'step', text: 'Step', title: 'Steps of the optimiser' },
  { value: 'epoch', text: 'Epoch', title: 'Passes over the data' },
  { value: 'seconds', text: 'Time', title: 'Time spent training' },
] as const;
