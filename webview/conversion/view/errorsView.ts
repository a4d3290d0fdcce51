/** Errors of the converted layers: sine's bar before truncated SVD's at the same k, so that what stands out is gained. */
import { axisLabels, printable } from '../../model/names';
import { count } from '../../model/numbers';
import type { Theme } from '../../theme';
import type { BarScale, BarSeries } from '../../view/barChart';
import { BarView } from '../../view/barView';
import { Grid, type GridColumn } from '../../view/grid';
import type { HoverCard, HoverContent } from '../../view/hoverCard';
import { nameText, nameTitle } from '../../view/nameText';
import { errorRatio, errorText, type Row } from '../model/columns';

export interface ErrorsActions {
  readonly select: (name: string) => void;
  readonly toggleTable: () => void;
}

/** Longer labels take more of a chart than they tell. */
const LABEL_LENGTH = 17;

const SCALE: BarScale = { title: 'relative error', text: (value) => String(Number(value.toFixed(3))) };

export class ErrorsView extends BarView {
  private readonly grid: Grid<Row>;
  private rows: readonly Row[] = [];
  private from: readonly Row[] | undefined;
  private labels: readonly string[] = [];

  constructor(
    private readonly actions: ErrorsActions,
    hover: HoverCard,
  ) {
    super({ title: 'Error by layer', keys: 'Converted layers, by their errors' }, [], hover);
    this.grid = new Grid({
      ...{ label: 'Error by layer as a table', role: 'grid', columns: gridColumns() },
      onSelect: ({ name }) => {
        actions.select(name);
      },
    });
    this.frame.tablePlace.append(this.grid.element);
  }

  /** @param rows in file order; the same list as before as long as nothing in it changed */
  render(rows: readonly Row[], selected: string | undefined, as: 'chart' | 'table', theme: Theme): void {
    if (rows !== this.from) {
      this.from = rows;
      this.rows = rows.filter(({ result, pending }) => pending || result?.outcome === 'converted');
      this.labels = axisLabels(
        this.rows.map(({ name }) => name),
        LABEL_LENGTH,
      );
    }
    this.frame.showAs(as);
    const at = this.rows.findIndex(({ name }) => name === selected);
    this.marks.selected = at < 0 ? new Map() : new Map([[at, theme.foreground]]);
    const series = this.series(theme);
    this.drawLegend(series);
    if (as === 'table') this.grid.setRows(this.rows);
    else this.drawBars({ labels: this.labels, series, scale: SCALE, theme, data: rows });
    this.describe();
  }

  private series(theme: Theme): BarSeries[] {
    const converted = this.rows.map(({ result }) => (result?.outcome === 'converted' ? result : undefined));
    return [
      {
        label: 'sine-low-rank',
        data: converted.map((layer) => layer?.relativeError ?? null),
        colour: theme.rank,
      },
      {
        label: 'truncated SVD at the same k',
        data: converted.map((layer) => layer?.svdRelativeError ?? null),
        colour: theme.edge,
      },
    ];
  }

  protected override count(): number {
    return this.rows.length;
  }

  protected override content(index: number): HoverContent | undefined {
    const row = this.rows[index];
    if (row === undefined) return undefined;
    const { result } = row;
    if (result?.outcome !== 'converted')
      return { title: { name: row.name }, lines: [{ label: 'not fitted yet', value: '' }] };
    const ratio = errorRatio(row);
    return {
      title: { name: row.name },
      lines: [
        { label: 'k', value: count(result.k) },
        { label: 'sine-low-rank', value: errorText(result.relativeError) },
        { label: 'truncated SVD', value: errorText(result.svdRelativeError) },
        ...(ratio === undefined ? [] : [{ label: 'sine ÷ SVD', value: ratio.toFixed(4) }]),
        {
          label: 'parameters',
          value: `${count(result.before.parameters)} → ${count(result.after.parameters)}`,
        },
        {
          label: 'stable rank: before · SVD · sine',
          value: [result.spectrum.before, result.spectrum.lowRank, result.spectrum.converted]
            .map(({ stableRank }) => stableRank.toFixed(1))
            .join(' · '),
        },
      ],
    };
  }

  protected override choose(index: number): void {
    const row = this.rows[index];
    if (row !== undefined) this.actions.select(row.name);
  }

  protected override toggleTable(): void {
    this.actions.toggleTable();
  }

  protected override spoken(index: number): string {
    const row = this.rows[index];
    if (row === undefined) return 'no layers';
    const { result } = row;
    if (result?.outcome !== 'converted') return `${printable(row.name)}, not fitted yet`;
    return `${printable(row.name)}, k ${count(result.k)}, sine ${errorText(result.relativeError)}, SVD ${errorText(result.svdRelativeError)}`;
  }
}

function gridColumns(): GridColumn<Row>[] {
  const number = (
    id: string,
    title: string,
    priority: number,
    value: (row: Row) => string | undefined,
  ): GridColumn<Row> => ({
    ...{ id, title, description: title, align: 'end', width: 70, grow: 1, priority, sortable: false },
    text: value,
  });
  return [
    {
      ...{ id: 'name', title: 'Layer', description: 'Layers in file order', align: 'start', grow: 4 },
      ...{ width: 120, priority: 0, sortable: false },
      text: ({ name }) => nameTitle(name),
      paint: (cell, { name }) => {
        cell.replaceChildren(nameText(name));
      },
    },
    number('sine', 'Sine', 1, ({ result }) =>
      result?.outcome === 'converted' ? errorText(result.relativeError) : undefined,
    ),
    number('svd', 'SVD', 2, ({ result }) =>
      result?.outcome === 'converted' ? errorText(result.svdRelativeError) : undefined,
    ),
    number('ratio', 'Ratio', 3, (row) => errorRatio(row)?.toFixed(3)),
  ];
}
