import { printable } from '../../checkpoint/errors';
import { ENERGY_LEVELS, type AuditDocument } from '../document';
import { remarks, rowsOf, type Row, type SortOrder } from './rows';

type Cell = string | number | boolean;

const COLUMNS: readonly (readonly [string, (document: AuditDocument, row: Row) => Cell])[] = [
  ['checkpoint', ({ checkpoint }) => checkpoint.path],
  ['layer', (_, { layer }) => layer.name],
  ['part', (_, { part }) => part?.name ?? ''],
  ['kind', (_, { layer }) => layer.kind],
  ['m', (_, { layer, part }) => (part ?? layer).shape[0]],
  ['n', (_, { layer, part }) => (part ?? layer).shape[1]],
  ['dtype', (_, { layer }) => layer.dtype],
  ['parameters', (_, { layer, part }) => (part ? part.shape[0] * part.shape[1] : layer.parameters)],
  ['maxRank', (_, { layer, part }) => (part ?? layer).maxRank],
  ['rank', (_, { layer, part }) => (part ?? layer).rank],
  ['utilization', (_, { layer, part }) => (part ?? layer).utilization],
  ['decomposable', (_, { layer, part }) => (part ? '' : layer.decomposable)],
  ...ENERGY_LEVELS.map(
    (level) =>
      [
        `rank_${level}`,
        (_: AuditDocument, { layer, part }: Row) => (part ?? layer).energyRanks[level],
      ] as const,
  ),
  ['stableRank', (_, { layer, part }) => (part ?? layer).stableRank],
  ['effectiveRank', (_, { layer, part }) => (part ?? layer).effectiveRank],
  ['spectralNorm', (_, { layer, part }) => (part ?? layer).spectralNorm],
  ['frobeniusNorm', (_, { layer, part }) => (part ?? layer).frobeniusNorm],
  ['randomEdge', (_, { layer, part }) => (part ?? layer).randomEdge],
  ['spikes', (_, { layer, part }) => (part ?? layer).spikes],
  ['remarks', (_, { layer, part }) => (part ? '' : remarks(layer))],
];

/** The header line of {@link renderCsvRows}. */
export function renderCsvHeader(): string {
  return `${COLUMNS.map(([name]) => name).join(',')}\n`;
}

/** One line for each layer and part (RFC 4180 but for line feeds alone, as tools on a terminal expect). */
export function renderCsvRows(document: AuditDocument, sort: SortOrder): string {
  return rowsOf(document, sort)
    .map((row) => `${COLUMNS.map(([, cell]) => csvCell(cell(document, row))).join(',')}\n`)
    .join('');
}

/** Text that a spreadsheet would run as a formula gets an apostrophe before it, which spreadsheets take as "text". */
function csvCell(value: Cell): string {
  if (typeof value !== 'string') return String(value);
  const text = printable(value);
  const inert = /^[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}
