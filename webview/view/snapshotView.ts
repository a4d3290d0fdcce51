import type { AuditState, LayerFacts } from '../model/audit';
import { count, percent, rank, significant } from '../model/numbers';
import { printable } from '../model/names';
import { snapshot, snapshotLabels } from '../model/snapshot';
import { savedParameters } from '../model/savings';
import type { SelectMode } from '../model/selection';
import type { ViewState } from '../model/viewState';
import type { Theme } from '../theme';
import { BarView } from './barView';
import { Grid } from './grid';
import type { HoverCard, HoverContent } from './hoverCard';
import { Segmented } from './segmented';
import { SCALES, snapshotConfig, snapshotSeries } from './snapshotChart';
import { snapshotColumns, type SnapshotRow } from './plotColumns';

export interface SnapshotActions {
  readonly select: (name: string, mode: SelectMode) => void;
  readonly change: (change: Partial<ViewState>) => void;
}

/** The utilization snapshot: chart or table, legend, pointer and keys. */
export class SnapshotView extends BarView {
  private readonly scale: Segmented<'rank' | 'share'>;
  private readonly grid: Grid<SnapshotRow>;
  private labels: { readonly names: readonly string[]; readonly texts: readonly string[] } | undefined;
  private state: AuditState | undefined;
  private as: ViewState['snapshotAs'] = 'chart';

  constructor(
    private readonly actions: SnapshotActions,
    hover: HoverCard,
  ) {
    const scale = new Segmented<'rank' | 'share'>(
      'Scale of the utilization snapshot',
      [
        { value: 'rank', text: 'Rank', title: 'Ranks as numbers' },
        { value: 'share', text: 'Share', title: 'Ranks as shares of the most possible' },
      ],
      (snapshotScale) => {
        actions.change({ snapshotScale });
      },
    );
    super(
      { title: 'Utilization snapshot', keys: 'Layers of the utilization snapshot' },
      [scale.element],
      hover,
    );
    this.scale = scale;
    this.grid = new Grid({
      ...{ label: 'Utilization snapshot as a table', role: 'grid', columns: snapshotColumns() },
      onSelect: (row, mode) => {
        actions.select(row.name, mode);
      },
    });
    this.frame.tablePlace.append(this.grid.element);
  }

  /** @param colours of selected layers, by name */
  render(state: AuditState, view: ViewState, theme: Theme, colours: ReadonlyMap<string, string>): void {
    this.state = state;
    this.as = view.snapshotAs;
    this.scale.set(view.snapshotScale);
    this.frame.showAs(view.snapshotAs);
    this.marks.selected = new Map(
      state.slots.flatMap(({ name }, i) => {
        const colour = colours.get(name);
        return colour === undefined ? [] : [[i, colour] as const];
      }),
    );
    const data = snapshot(state.slots, this.labelsOf(state), view.snapshotScale, state.utilizedRanks);
    const series = snapshotSeries(data, theme);
    this.drawLegend(series);
    if (view.snapshotAs === 'table')
      this.grid.setRows(state.slots.map(({ name, layer }, order) => ({ name, layer, order })));
    else
      this.drawBars({
        ...{ labels: data.labels, series, theme },
        scale: SCALES[view.snapshotScale],
        data: state.slots,
      });
    this.describe();
  }

  /** @returns the configuration of the chart as it is, for drawing it elsewhere */
  configuration(state: AuditState, view: ViewState, theme: Theme) {
    const data = snapshot(state.slots, this.labelsOf(state), view.snapshotScale, state.utilizedRanks);
    return snapshotConfig(data, view.snapshotScale, theme, { cursor: undefined, selected: new Map() });
  }

  private labelsOf({ names }: AuditState): readonly string[] {
    if (this.labels?.names !== names) this.labels = { names, texts: snapshotLabels(names) };
    return this.labels.texts;
  }

  protected override count(): number {
    return this.state?.slots.length ?? 0;
  }

  protected override content(index: number): HoverContent | undefined {
    const slot = this.state?.slots[index];
    if (slot === undefined) return undefined;
    return hoverContent(slot.name, slot.layer?.facts, this.state?.utilizedRanks.get(slot.name));
  }

  protected override choose(index: number, event: MouseEvent | KeyboardEvent): void {
    const slot = this.state?.slots[index];
    if (slot === undefined) return;
    const mode = event.shiftKey ? 'range' : event.ctrlKey || event.metaKey ? 'toggle' : 'only';
    this.actions.select(slot.name, mode);
  }

  protected override toggleTable(): void {
    this.actions.change({ snapshotAs: this.as === 'chart' ? 'table' : 'chart' });
  }

  protected override spoken(index: number): string {
    const slot = this.state?.slots[index];
    return slot === undefined ? 'no layers' : spoken(slot);
  }
}

function spoken({ name, layer }: AuditState['slots'][number]): string {
  if (layer === undefined) return `${printable(name)}, not computed yet`;
  const { facts } = layer;
  return `${printable(name)}, rank ${rank(facts.rank)} of ${count(facts.maxRank)}, ${percent(facts.utilization)}`;
}

function hoverContent(
  name: string,
  facts: LayerFacts | undefined,
  utilized: number | undefined,
): HoverContent {
  if (facts === undefined) return { title: { name }, lines: [{ label: 'not computed yet', value: '' }] };
  const groups = facts.groups === undefined ? '' : `, ${facts.groups} groups`;
  const { energyRanks: at } = facts;
  const saved = savedParameters(facts);
  const lines = [
    [
      'kind',
      `${printable(facts.kind)}${facts.trivialRank === true ? ', depthwise' : ''}, ${printable(facts.dtype)}`,
    ],
    ['shape', `${facts.shape[0]} × ${facts.shape[1]}${groups}`],
    ['parameters', count(facts.parameters)],
    ['rank', `${rank(facts.rank)} of ${count(facts.maxRank)} (${percent(facts.utilization)})`],
    ['utilized rank', utilized === undefined ? '' : rank(utilized)],
    ['for 90 · 95 · 99 · 99.9 %', [at['0.9'], at['0.95'], at['0.99'], at['0.999']].map(rank).join(' · ')],
    ['stable rank', significant(facts.stableRank)],
    ['effective rank', significant(facts.effectiveRank)],
    ['spikes above the random edge', rank(facts.spikes)],
    [
      'σ₁ · edge · ‖W‖F',
      [facts.spectralNorm, facts.randomEdge, facts.frobeniusNorm].map(significant).join(' · '),
    ],
    ['low rank saves', saved === 0 ? '' : `${count(saved)} (${percent(saved / facts.parameters)})`],
    ['tied to', facts.tiedTo === undefined ? '' : printable(facts.tiedTo)],
  ].filter(([, value]) => value !== '');
  return { title: { name }, lines: lines.map(([label = '', value = '']) => ({ label, value })) };
}
