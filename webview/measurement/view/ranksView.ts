/** The utilization snapshot: utilized rank before the rank of the weight before the most possible, layer by layer. */
import { axisLabels, printable } from '../../model/names';
import { count, percent, rank, significant } from '../../model/numbers';
import type { Snapshot } from '../../model/snapshot';
import type { Theme } from '../../theme';
import { BarView } from '../../view/barView';
import { Grid } from '../../view/grid';
import type { HoverCard, HoverContent } from '../../view/hoverCard';
import { nameText, nameTitle } from '../../view/nameText';
import { Segmented } from '../../view/segmented';
import { SCALES, snapshotSeries } from '../../view/snapshotChart';
import { maxRank } from '../model/columns';
import type { MeasuredLayer } from '../model/state';
import type { ViewState } from '../model/viewState';

export interface RanksActions {
  readonly select: (name: string) => void;
  readonly change: (change: Partial<Pick<ViewState, 'scale' | 'ranksAs'>>) => void;
}

/** Longer labels take more of a chart than they tell. */
const LABEL_LENGTH = 17;

export class RanksView extends BarView {
  private readonly scale: Segmented<'rank' | 'share'>;
  private readonly grid: Grid<MeasuredLayer>;
  private layers: readonly MeasuredLayer[] = [];
  private as: ViewState['ranksAs'] = 'chart';
  private labelled: { readonly key: string; readonly labels: readonly string[] } | undefined;

  constructor(
    private readonly actions: RanksActions,
    hover: HoverCard,
  ) {
    const scale = new Segmented<'rank' | 'share'>(
      'Scale of the utilization snapshot',
      [
        { value: 'rank', text: 'Rank', title: 'Ranks as numbers' },
        { value: 'share', text: 'Share', title: 'Ranks as shares of the most possible' },
      ],
      (chosen) => {
        actions.change({ scale: chosen });
      },
    );
    super({ title: 'Utilization snapshot', keys: 'Layers of the snapshot' }, [scale.element], hover);
    this.scale = scale;
    const number = { align: 'end', width: 66, grow: 1, sortable: false } as const;
    this.grid = new Grid({
      ...{ label: 'Utilization snapshot as a table', role: 'grid' },
      columns: [
        {
          ...{ id: 'name', title: 'Layer', description: 'In the network’s order', align: 'start' },
          ...{ width: 120, grow: 4, priority: 0, sortable: false },
          text: ({ name }) => nameTitle(name),
          paint: (cell, { name }) => {
            cell.replaceChildren(nameText(name));
          },
        },
        {
          ...{ ...number, id: 'utilized', title: 'Utilized', description: 'Utilized rank', priority: 1 },
          text: ({ result }) => (result === undefined ? undefined : rank(result.utilizedRank)),
        },
        {
          ...{ ...number, id: 'rank', title: 'Rank', description: 'Rank of the weight', priority: 2 },
          text: (layer) => rank(layer.rank),
        },
        {
          ...{ ...number, id: 'possible', title: 'Possible', description: 'min(m, n)', priority: 3 },
          text: (layer) => count(maxRank(layer)),
        },
      ],
      onSelect: ({ name }) => {
        actions.select(name);
      },
    });
    this.frame.tablePlace.append(this.grid.element);
  }

  /** @param layers in the network's order; the same list as before as long as nothing in it changed */
  render(
    layers: readonly MeasuredLayer[],
    selected: string | undefined,
    view: ViewState,
    theme: Theme,
  ): void {
    this.layers = layers;
    this.as = view.ranksAs;
    this.scale.set(view.scale);
    this.frame.showAs(view.ranksAs);
    const at = layers.findIndex(({ name }) => name === selected);
    this.marks.selected = at < 0 ? new Map() : new Map([[at, theme.edge]]);
    const snapshot = this.snapshot(view.scale);
    const series = snapshotSeries(snapshot, theme);
    this.drawLegend(series);
    if (view.ranksAs === 'table') this.grid.setRows(layers);
    else this.drawBars({ labels: snapshot.labels, series, scale: SCALES[view.scale], theme, data: layers });
    this.describe();
  }

  private snapshot(scale: ViewState['scale']): Snapshot {
    const { layers } = this;
    const names = layers.map(({ name }) => name);
    const scaled = (of: (layer: MeasuredLayer) => number | undefined) =>
      layers.map((layer) => {
        const value = of(layer);
        if (value === undefined) return null;
        const most = maxRank(layer);
        return scale === 'rank' ? value : most === 0 ? 0 : value / most;
      });
    return {
      names,
      labels: this.labelsOf(names),
      possible: scaled(maxRank),
      rank: scaled((layer) => layer.rank),
      utilized: scaled(({ result }) => result?.utilizedRank),
    };
  }

  private labelsOf(names: readonly string[]): readonly string[] {
    const key = names.join('\u0000');
    if (this.labelled?.key !== key) this.labelled = { key, labels: axisLabels(names, LABEL_LENGTH) };
    return this.labelled.labels;
  }

  protected override count(): number {
    return this.layers.length;
  }

  protected override content(index: number): HoverContent | undefined {
    const layer = this.layers[index];
    if (layer === undefined) return undefined;
    const { name, result } = layer;
    const weight = { label: 'rank of the weight', value: `${rank(layer.rank)} of ${count(maxRank(layer))}` };
    if (result === undefined)
      return { title: { name }, lines: [weight, { label: 'not measured yet', value: '' }] };
    return {
      title: { name },
      lines: [
        { label: 'utilized rank', value: `${rank(result.utilizedRank)} (${percent(result.utilization)})` },
        weight,
        { label: 'k_S · k_T', value: `${count(result.kS)} · ${count(result.kT)}` },
        {
          label: 'energy kept, inputs · outputs',
          value: `${percent(result.energyS)} · ${percent(result.energyT)}`,
        },
        {
          label: 'error, at most',
          value: `${significant(result.error.measured)}, ${significant(result.error.bound)}`,
        },
      ],
    };
  }

  protected override choose(index: number): void {
    const layer = this.layers[index];
    if (layer !== undefined) this.actions.select(layer.name);
  }

  protected override toggleTable(): void {
    this.actions.change({ ranksAs: this.as === 'chart' ? 'table' : 'chart' });
  }

  protected override spoken(index: number): string {
    const layer = this.layers[index];
    if (layer === undefined) return 'no layers';
    const { result } = layer;
    const utilized = result === undefined ? 'not measured yet' : `utilized rank ${rank(result.utilizedRank)}`;
    return `${printable(layer.name)}, ${utilized}, rank ${rank(layer.rank)} of ${count(maxRank(layer))}`;
  }
}
