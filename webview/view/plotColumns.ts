/** Columns of the tables behind the plots. */
import type { PanelLayer } from '../model/audit';
import { count, percent, rank, significant } from '../model/numbers';
import { energies, normalised, type SpectrumView } from '../model/spectrum';
import type { GridColumn } from './grid';
import { nameText, nameTitle } from './nameText';

export interface SnapshotRow {
  readonly name: string;
  readonly order: number;
  readonly layer: PanelLayer | undefined;
}

const NUMBER = { align: 'end', grow: 1, sortable: false } as const;

export function snapshotColumns(): GridColumn<SnapshotRow>[] {
  const number = (
    ...[id, title, description, priority, text]: readonly [
      string,
      string,
      string,
      number,
      (layer: PanelLayer) => string,
    ]
  ): GridColumn<SnapshotRow> => ({
    ...{ ...NUMBER, id, title, description, width: 70, priority },
    text: ({ layer }) => (layer === undefined ? undefined : text(layer)),
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
    number('possible', 'Possible', 'Most possible rank: min(m, n), or that of an adapter', 2, ({ facts }) =>
      count(facts.maxRank),
    ),
    number('rank', 'Rank', 'Fewest singular values with 99.99 % of the energy', 1, ({ facts }) =>
      rank(facts.rank),
    ),
    number('share', 'Share', 'Rank of most possible', 3, ({ facts }) => percent(facts.utilization)),
  ];
}

/** One row an index; the columns are the layers drawn. */
export interface SpectrumRow {
  /** From 1. */
  readonly index: number;
}

export function spectrumColumns(
  layers: readonly PanelLayer[],
  view: SpectrumView,
): GridColumn<SpectrumRow>[] {
  return [
    {
      ...{ ...NUMBER, id: 'index', title: 'Index', description: 'Index of the singular value' },
      ...{ width: 56, priority: 0 },
      text: ({ index }) => count(index),
    },
    ...layers.map(({ facts, spectrum }, i): GridColumn<SpectrumRow> => {
      const values = view === 'values' ? normalised(spectrum) : energies(spectrum, 'linear');
      const what = view === 'values' ? 'σ/σ₁' : 'cumulative energy';
      return {
        ...{ ...NUMBER, id: `layer${i}`, width: 96, priority: i + 1 },
        ...{ title: nameTitle(facts.name), description: `${nameTitle(facts.name)}: ${what}` },
        text: ({ index }) => {
          const value = values[index - 1];
          if (value === undefined) return '';
          return view === 'values' ? significant(value) : value.toFixed(6);
        },
      };
    }),
  ];
}
