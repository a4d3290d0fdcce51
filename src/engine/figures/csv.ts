import { ENERGY_LEVELS } from '../../spectrum';
import type {
  FigureDocument,
  FigureMatrix,
  HeatMapPanel,
  RanksPanel,
  SpectraPanel,
} from '../figuresDocument';

/** One table: a header and rows. */
export interface Csv {
  /** What it holds: `spectra`, `entries`, `ranks`. */
  readonly name: string;
  readonly text: string;
}

type Cell = string | number | undefined;

/** A figure as tables, one for each kind of panel that it has. */
export function renderCsv({ panels }: FigureDocument): Csv[] {
  const spectra = panels.filter((panel): panel is SpectraPanel => panel.kind === 'spectra');
  const heatMaps = panels.filter((panel): panel is HeatMapPanel => panel.kind === 'heatMap');
  const ranks = panels.filter((panel): panel is RanksPanel => panel.kind === 'ranks');
  return [
    ...(spectra.length > 0 ? [{ name: 'spectra', text: table(SPECTRA, spectra.flatMap(spectraRows)) }] : []),
    ...(heatMaps.length > 0 ? [{ name: 'entries', text: table(ENTRIES, heatMaps.flatMap(entryRows)) }] : []),
    ...(ranks.length > 0 ? [{ name: 'ranks', text: table(RANKS, ranks.flatMap(rankRows)) }] : []),
  ];
}

const SPECTRA = ['panel', 'matrix', 'activation', 'omega', 'index', 'relativeSingularValue'];

function spectraRows({ title, spectra }: SpectraPanel): Cell[][] {
  return spectra.flatMap(({ label, activation, omega, singularValues }) =>
    singularValues.map((value, i) => [title, label, activation, omega, i + 1, value]),
  );
}

const ENTRIES = ['matrix', 'row', 'column', 'value'];

function entryRows({ title, values }: HeatMapPanel): Cell[][] {
  return values.flatMap((row, i) => row.map((value, j) => [title, i, j, value]));
}

const RANKS = [
  ...['matrix', 'activation', 'omega', 'stableRank', 'effectiveRank'],
  ...ENERGY_LEVELS.map((level) => `rank_${level}`),
];

function rankRows({ fullRank, lowRank, sine }: RanksPanel): Cell[][] {
  return [fullRank, lowRank, ...sine].map(
    ({ label, activation, omega, stableRank, effectiveRank, energyRanks }: FigureMatrix) => [
      ...[label, activation, omega, stableRank, effectiveRank],
      ...ENERGY_LEVELS.map((level) => energyRanks[level]),
    ],
  );
}

/** RFC 4180 but for line feeds alone, as tools on a terminal expect; an absent value is an empty cell. */
function table(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [header, ...rows].map((row) => `${row.map(csvCell).join(',')}\n`).join('');
}

function csvCell(value: Cell): string {
  if (value === undefined) return '';
  const text = String(value);
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
