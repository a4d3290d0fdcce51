import { printable } from '../../checkpoint/errors';
import type { AuditDocument } from '../document';
import { count, percent, short, trimmed } from './quantities';
import type { Display } from './display';
import { remarks, rowsOf, type Row, type SortOrder } from './rows';
import { renderFacts, renderSummary } from './summary';

const HEADER = '| Layer | Kind | Shape | Parameters | Rank | Used | Stable | Effective | Spikes | |';
const RULE = '|:--|:--|--:|--:|--:|--:|--:|--:|--:|:--|';

/** Markdown is a file for people; it can always hold Unicode. */
const DISPLAY: Display = { color: false, unicode: true };

/** The audit as a section of a GitHub-flavoured Markdown report: heading, table, summary. */
export function renderMarkdown(document: AuditDocument, sort: SortOrder): string {
  const lines = [`## ${escapeMarkdown(renderFacts(document, DISPLAY))}`, ''];
  const rows = rowsOf(document, sort);
  if (rows.length > 0) lines.push(HEADER, RULE, ...rows.map(renderRow), '');
  lines.push(...renderSummary(document, DISPLAY).map((sentence) => `- ${escapeMarkdown(sentence)}`), '');
  return `${lines.join('\n')}\n`;
}

function renderRow({ layer, part }: Row): string {
  const { shape, rank, maxRank, utilization, stableRank, effectiveRank, spikes } = part ?? layer;
  const cells = [
    part === undefined ? escapeMarkdown(printable(layer.name)) : `— ${escapeMarkdown(printable(part.name))}`,
    part === undefined ? layer.kind : '',
    shape.join('×'),
    count(part === undefined ? layer.parameters : shape[0] * shape[1]),
    `${trimmed(rank, 1)}/${maxRank}`,
    percent(utilization),
    short(stableRank),
    short(effectiveRank),
    trimmed(spikes, 1),
    part === undefined ? escapeMarkdown(printable(remarks(layer))) : '',
  ];
  return `| ${cells.join(' | ')} |`;
}

/** Everything that Markdown, HTML or GitHub (@mentions, #references, bare links) would read as more than a character; an underscore inside a word is none. */
const SPECIAL = /[\\`*{}[\]<>|~&@#!$]|(?<![a-z0-9])_|_(?![a-z0-9])|:(?=\/\/)|(?<=www)\./gi;

/** Text that shows as itself: special characters as HTML entities, which work in tables and headings alike. */
export function escapeMarkdown(text: string): string {
  return text.replace(SPECIAL, (character) => `&#${character.charCodeAt(0)};`);
}
