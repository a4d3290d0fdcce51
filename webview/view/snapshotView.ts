import type { AuditState, LayerFacts } from '../model/audit';
import { count, percent, rank, significant } from '../model/numbers';
import { printable } from '../model/names';
import { snapshot, snapshotLabels, type Snapshot } from '../model/snapshot';
import { savedParameters } from '../model/savings';
import type { SelectMode } from '../model/selection';
import type { ViewState } from '../model/viewState';
import type { Theme } from '../theme';
import { Chart } from './charts';
import { element } from './element';
import { Grid } from './grid';
import type { HoverCard, HoverContent } from './hoverCard';
import { PlotView } from './plotView';
import { Segmented } from './segmented';
import { snapshotConfig, snapshotDatasets, type SnapshotMarks } from './snapshotChart';
import { snapshotColumns, type SnapshotRow } from './plotColumns';

export interface SnapshotActions {
  readonly select: (name: string, mode: SelectMode) => void;
  readonly change: (change: Partial<ViewState>) => void;
}

/** The utilization snapshot: chart or table, legend, pointer and keys. */
export class SnapshotView extends PlotView<'bar', (number | null)[]> {
  private readonly scale: Segmented<'rank' | 'share'>;
  private readonly grid: Grid<SnapshotRow>;
  private readonly marks: SnapshotMarks = { cursor: undefined, selected: new Map() };
  private drawn:
    { readonly theme: Theme; readonly slots: AuditState['slots']; readonly view: string } | undefined;
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
    this.renderLegend(data, theme);
    if (view.snapshotAs === 'table')
      this.grid.setRows(state.slots.map(({ name, layer }, order) => ({ name, layer, order })));
    else this.renderChart(state, view, theme, data);
    this.describe();
  }

  /** @returns the configuration of the chart as it is, for drawing it elsewhere */
  configuration(state: AuditState, view: ViewState, theme: Theme) {
    const data = snapshot(state.slots, this.labelsOf(state), view.snapshotScale, state.utilizedRanks);
    return snapshotConfig(data, view.snapshotScale, theme, { cursor: undefined, selected: new Map() });
  }

  private renderChart(state: AuditState, view: ViewState, theme: Theme, data: Snapshot): void {
    const before = this.drawn;
    this.drawn = { theme, slots: state.slots, view: view.snapshotScale };
    if (this.chart === undefined || before?.theme !== theme || before.view !== view.snapshotScale) {
      this.chart?.destroy();
      this.chart = new Chart(this.frame.canvas, snapshotConfig(data, view.snapshotScale, theme, this.marks));
    } else if (before.slots !== state.slots) {
      const fresh = snapshotDatasets(data, theme);
      this.chart.data.labels = [...data.labels];
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

  private renderLegend({ utilized }: Snapshot, theme: Theme): void {
    const entries = [
      ...(utilized === undefined ? [] : [['utilized rank', theme.utilized] as const]),
      ['rank (99.99 % of the energy)', utilized === undefined ? theme.rank : theme.rankBehind] as const,
      ['most possible', theme.possible] as const,
    ];
    const signature = JSON.stringify(entries);
    if (this.frame.legend.dataset.shown === signature) return;
    this.frame.legend.dataset.shown = signature;
    this.frame.legend.replaceChildren(
      ...entries.map(([text, colour]) => {
        const swatch = element('span', { class: 'swatch' });
        swatch.style.background = colour;
        return element('span', { class: 'legend-entry' }, swatch, text);
      }),
    );
  }

  private labelsOf({ names }: AuditState): readonly string[] {
    if (this.labels?.names !== names) this.labels = { names, texts: snapshotLabels(names) };
    return this.labels.texts;
  }

  protected override count(): number {
    return this.state?.slots.length ?? 0;
  }

  protected override coordinate(index: number): number {
    return index;
  }

  protected override showCursor(index: number | undefined): void {
    this.marks.cursor = index;
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
