import { printable } from '../checkpoint/errors';
import { countOf } from '../checkpoint/wording';
import type { InspectionDocument, Level, NamedGlobal } from '../engine/inspectionDocument';
import type { Display } from '../engine/report/display';
import { inspectionReason, LEVEL_MARKS } from '../engine/report/inspectionSummary';
import { bytes } from '../engine/report/quantities';
import { pad, paint, wrap, type Style } from './terminal';

const STYLES: Readonly<Record<Level, Style>> = {
  safe: 'green',
  unknown: 'cyan',
  suspicious: 'yellow',
  dangerous: 'bold',
};

/** Names listed, worst first, unless all are asked for: a whole module names hundreds of classes. */
const MAX_NAMES = 25;

/** Widest mark and level, `!! suspicious`. */
const LEVEL_WIDTH = 13;
const INDENT = ' '.repeat(LEVEL_WIDTH + 2);

/** One line a file, for many files. */
export function renderVerdict(document: InspectionDocument, display: Display): string {
  const { verdict, checkpoint } = document;
  const text = `${printable(checkpoint.path)}: ${inspectionReason(document)}`;
  return rows(verdict, text, display);
}

/** The whole inspection for people: the verdict, then what it rests on. */
export function renderInspection(document: InspectionDocument, all: boolean, display: Display): string {
  const { verdict, meaning, checkpoint, globals, findings, notes } = document;
  const facts = `${printable(checkpoint.path)}: ${checkpoint.format}, ${bytes(checkpoint.bytes)}`;
  const lines = wrap(facts, display.width).map((line) => `${paint(line, 'bold', display)}\n`);
  lines.push('\n', rows(verdict, meaning, display));
  const harmful = globals.filter(({ level }) => level !== 'safe');
  const shown = all ? globals : harmful.slice(0, MAX_NAMES);
  if (shown.length > 0) lines.push('\n', heading('Names', display));
  for (const global of shown) lines.push(rows(global.level, wordsOf(global), display));
  const left = [
    ...(harmful.length > shown.length ? [countOf(harmful.length - shown.length, 'more name')] : []),
    ...(globals.length > harmful.length && !all
      ? [countOf(globals.length - harmful.length, 'harmless name')]
      : []),
  ];
  if (left.length > 0) lines.push(`${INDENT}and ${left.join(' and ')} (--all lists them)\n`);
  if (findings.length > 0) lines.push('\n', heading('Findings', display));
  for (const { level, message, where, offset } of findings)
    lines.push(rows(level, `${message}${placeOf(where, offset)}`, display));
  if (notes.length > 0) lines.push('\n', heading('Notes', display));
  for (const note of notes) for (const line of wrap(note, display.width)) lines.push(`${line}\n`);
  return lines.join('');
}

function wordsOf({ name, level, reason, called, where, offset }: NamedGlobal): string {
  const use = `${called ? 'called' : 'named'} ${placeWords(where, offset)}`;
  return level === 'safe' ? `${name} (${use})` : `${name}: ${reason} (${use})`;
}

function placeOf(where: string, offset: number | undefined): string {
  const words = placeWords(where, offset);
  return words === '' ? '' : ` (${words})`;
}

function placeWords(where: string, offset: number | undefined): string {
  const parts = [where === '' ? '' : `in ${where}`, offset === undefined ? '' : `at byte ${offset}`];
  return parts.filter((part) => part !== '').join(' ');
}

function heading(text: string, display: Display): string {
  return `${paint(text, 'dim', display)}\n`;
}

/** A level beside a text, which goes on under itself. */
function rows(level: Level, text: string, display: Display): string {
  const label = `${pad(LEVEL_MARKS[level], 2, 'left')} ${level}`;
  const width = display.width === undefined ? undefined : display.width - INDENT.length;
  const [first = '', ...rest] = wrap(text, width);
  const head = paint(pad(label, LEVEL_WIDTH, 'left'), STYLES[level], display);
  return [`${head}  ${first}`, ...rest.map((line) => INDENT + line)]
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}
