/** The utilization of each layer as a run trains: a strip of layers × time, with the means above it. */
import { printable } from '../../model/names';
import { count, percent, rank } from '../../model/numbers';
import type { Theme } from '../../theme';
import { dropdown } from '../../toolkit';
import { Chart } from '../../view/charts';
import { element, setText } from '../../view/element';
import { Grid, type GridColumn } from '../../view/grid';
import type { HoverCard, HoverContent } from '../../view/hoverCard';
import { shortNameText } from '../../view/nameText';
import { PlotView } from '../../view/plotView';
import { layerMoment, meanMoments, type LayerMoment } from '../model/layers';
import type { XY } from '../model/points';
import type { ViewState } from '../model/viewState';
import type { LayersTold, RunSummary } from '../protocol';
import { meansConfig, shareColours, stripConfig, type StripMarks } from './layersChart';

type Changes = Partial<Pick<ViewState, 'layersOf' | 'layersAs'>>;

/** What the strip is of. */
export interface LayersShown {
  readonly run: RunSummary | undefined;
  /** Undefined until it was told. */
  readonly told: LayersTold | undefined;
  /** Runs that can be chosen. */
  readonly runs: readonly RunSummary[];
}

/** A layer at the first and at the last moment. */
interface LayerRow {
  readonly first: LayerMoment;
  readonly last: LayerMoment;
}

export class LayersPlot extends PlotView<'line', XY[]> {
  private readonly run;
  private readonly means = element('canvas', { attributes: { 'aria-hidden': 'true' } });
  private readonly meansPlace = element('div', { class: 'means' }, this.means);
  private meansChart: Chart<'line', XY[]> | undefined;
  private readonly grid: Grid<LayerRow>;
  private marks: StripMarks | undefined;
  private readonly change: (change: Changes) => void;
  private drawn: readonly unknown[] = [];
  private told: LayersTold | undefined;
  private as: 'chart' | 'table' = 'chart';
  /** CSS pixels from the canvas's upper edge; undefined while keys move. */
  private pointerY: number | undefined;

  constructor(change: (change: Changes) => void, hover: HoverCard) {
    const run = dropdown('Run whose layers are on show', (layersOf) => {
      change({ layersOf });
    });
    super(
      { title: 'Layer utilization', keys: 'Moments at which layers were looked at' },
      [run.element],
      hover,
    );
    this.run = run;
    this.change = change;
    this.grid = new Grid({ label: 'Layers as a table', role: 'grid', columns: LAYER_COLUMNS });
    this.frame.tablePlace.append(this.grid.element);
    this.element.classList.add('layers-plot');
    this.element.querySelector('.plot-body')?.before(this.meansPlace);
    const { stage } = this.frame;
    // Before the frame's own listener, which asks what is under the pointer.
    stage.addEventListener('pointermove', ({ offsetY }) => (this.pointerY = offsetY), { capture: true });
    stage.addEventListener('keydown', () => (this.pointerY = undefined), { capture: true });
  }

  render({ run, told, runs }: LayersShown, view: ViewState, theme: Theme): void {
    const choices = runs.map(({ folder, record }) => ({ value: folder, text: printable(record.label) }));
    this.run.set(choices, run?.folder ?? '');
    this.run.element.hidden = runs.length < 2;
    this.frame.showAs(view.layersAs);
    this.meansPlace.hidden = view.layersAs === 'table';
    const drawn = [told, theme, view.layersAs];
    if (drawn.every((part, i) => part === this.drawn[i]) && this.drawn.length > 0) return;
    this.drawn = drawn;
    this.told = told;
    this.as = view.layersAs;
    if (view.layersAs === 'table') this.renderTable();
    else this.renderChart(theme);
    this.renderLegend(theme);
    this.describe();
  }

  private renderChart(theme: Theme): void {
    const { told } = this;
    // The chart keeps its plugin, and the plugin its marks.
    const marks = Object.assign(this.marks ?? { moment: undefined, layer: undefined, told, theme }, {
      told,
      theme,
    });
    this.marks = marks;
    const strip = stripConfig(marks);
    const means = meansConfig(marks);
    if (this.chart === undefined || this.meansChart === undefined) {
      this.chart = new Chart(this.frame.canvas, strip);
      this.meansChart = new Chart(this.means, means);
      return;
    }
    if (strip.options !== undefined) this.chart.options = strip.options;
    this.meansChart.data = means.data;
    if (means.options !== undefined) this.meansChart.options = means.options;
    this.chart.update('none');
    this.meansChart.update('none');
  }

  private renderTable(): void {
    const { told } = this;
    const last = (told?.steps.length ?? 0) - 1;
    const rows = told?.names.flatMap((_, layer): LayerRow[] => {
      const [before, after] = [layerMoment(told, layer, 0), layerMoment(told, layer, last)];
      return before === undefined || after === undefined ? [] : [{ first: before, last: after }];
    });
    this.grid.setRows(rows ?? []);
  }

  private renderLegend(theme: Theme): void {
    const { legend } = this.frame;
    const { told } = this;
    const last = told === undefined ? undefined : meanMoments(told).at(-1);
    const signature = JSON.stringify([last, theme.series, told?.names.length]);
    if (legend.dataset.shown === signature) return;
    legend.dataset.shown = signature;
    if (told === undefined || last === undefined) {
      setText(legend, 'Known once a run has looked at its layers.');
      return;
    }
    legend.replaceChildren(
      entry('line', theme.utilized, `utilized rank ${percent(last.utilized)}`),
      entry('line dashed', theme.description, `rank ${percent(last.rank)} of the most possible, means now`),
      scale(theme),
    );
  }

  protected override count(): number {
    return this.told?.steps.length ?? 0;
  }

  protected override coordinate(index: number): number {
    return index;
  }

  protected override showCursor(index: number | undefined): void {
    if (this.marks === undefined) return;
    this.marks.moment = index;
    this.marks.layer = index === undefined ? undefined : this.layerAt();
  }

  /** The layer under the pointer. */
  private layerAt(): number | undefined {
    const value =
      this.pointerY === undefined ? undefined : this.chart?.scales.y?.getValueForPixel(this.pointerY);
    if (value === undefined || this.told === undefined) return undefined;
    return Math.max(0, Math.min(this.told.names.length - 1, Math.round(value)));
  }

  protected override content(index: number): HoverContent | undefined {
    const { told } = this;
    const mean = told === undefined ? undefined : meanMoments(told)[index];
    if (told === undefined || mean === undefined) return undefined;
    const at = this.layerAt();
    const here = at === undefined ? undefined : layerMoment(told, at, index);
    const step = `step ${count(mean.step)}`;
    const means = [
      { label: 'mean utilized', value: percent(mean.utilized) },
      { label: 'mean rank', value: percent(mean.rank) },
    ];
    if (here === undefined)
      return { title: { text: step }, lines: [...means, ...leastLines(told, mean.least, index)] };
    if (this.marks !== undefined && this.marks.layer !== at) {
      this.marks.layer = at;
      this.chart?.draw();
    }
    return {
      title: { name: here.name },
      lines: [
        { label: 'at', value: step },
        { label: 'utilized rank', value: `${ofMost(here.utilized, here)} · ${percent(here.utilizedShare)}` },
        { label: 'rank', value: `${ofMost(here.rank, here)} · ${percent(here.rankShare)}` },
        ...means,
      ],
    };
  }

  protected override spoken(index: number): string {
    const mean = this.told === undefined ? undefined : meanMoments(this.told)[index];
    if (this.told === undefined || mean === undefined) return 'nothing to show yet';
    const least = layerMoment(this.told, mean.least, index);
    const words =
      least === undefined ? '' : `, least ${printable(least.name)} ${percent(least.utilizedShare)}`;
    return `step ${count(mean.step)}, mean utilized ${percent(mean.utilized)}, mean rank ${percent(mean.rank)}${words}`;
  }

  protected override toggleTable(): void {
    this.change({ layersAs: this.as === 'table' ? 'chart' : 'table' });
  }
}

function ofMost(value: number, { maxRank }: LayerMoment): string {
  return `${rank(value)} of ${count(maxRank)}`;
}

function leastLines(told: LayersTold, layer: number, moment: number) {
  const least = layerMoment(told, layer, moment);
  return least === undefined
    ? []
    : [{ label: least.name, value: `${ofMost(least.utilized, least)}, the least`, isName: true }];
}

function entry(kind: string, colour: string, text: string): HTMLElement {
  const swatch = element('span', { class: `swatch ${kind}` });
  swatch.style.color = colour;
  return element('span', { class: 'legend-entry' }, swatch, text);
}

/** The strip's colours, from none to all of the most possible. */
function scale(theme: Theme): HTMLElement {
  const colour = shareColours(theme);
  const stops = Array.from({ length: 8 }, (_, i) => {
    const cell = element('span', { class: 'scale-cell' });
    cell.style.background = `rgb(${colour(i / 7).join(', ')})`;
    return cell;
  });
  return element(
    'span',
    { class: 'legend-entry' },
    'utilized 0',
    element('span', { class: 'scale' }, ...stops),
    '100\u00a0%',
  );
}

const NUMBER = { align: 'end', grow: 1, sortable: false } as const;

const LAYER_COLUMNS: readonly GridColumn<LayerRow>[] = [
  {
    ...{ id: 'name', title: 'Layer', description: 'Layers in the network’s order', align: 'start' },
    ...{ grow: 4, width: 110, priority: 0, sortable: false },
    text: ({ last }) => last.name,
    paint: (cell, { last }) => {
      cell.replaceChildren(shortNameText(last.name));
    },
  },
  {
    ...{ ...NUMBER, id: 'first', title: 'First', width: 66, priority: 3 },
    description: 'Utilized rank ÷ most possible when it was first looked at',
    text: ({ first }) => percent(first.utilizedShare),
  },
  {
    ...{ ...NUMBER, id: 'now', title: 'Now', width: 66, priority: 1 },
    description: 'Utilized rank ÷ most possible at the last look',
    text: ({ last }) => percent(last.utilizedShare),
  },
  {
    ...{ ...NUMBER, id: 'utilized', title: 'Utilized', width: 70, priority: 2 },
    description: 'Utilized rank at the last look',
    text: ({ last }) => rank(last.utilized),
  },
  {
    ...{ ...NUMBER, id: 'rank', title: 'Rank', width: 60, priority: 4 },
    description: 'Rank of the weight at the last look',
    text: ({ last }) => rank(last.rank),
  },
  {
    ...{ ...NUMBER, id: 'possible', title: 'Possible', width: 66, priority: 5 },
    description: 'Most possible rank: min(m, n)',
    text: ({ last }) => count(last.maxRank),
  },
];
