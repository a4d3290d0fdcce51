/** Plain text, and texts with a class each. */
import { createHash } from 'node:crypto';
import { CheckpointError, printable } from '../../checkpoint/errors';
import { readWholeFile } from './wholeFile';
import { Pauses } from './pauses';

/** A hundred times the complete works of Shakespeare; strings of Node end at twice this. */
const MAX_TEXT_BYTES = 2 ** 28;
/** Bytes decoded at once. */
const CHUNK_BYTES = 1024 * 1024;

export interface Text {
  readonly text: string;
  /** Hex sha256 of the file. */
  readonly identity: string;
}

/**
 * UTF-8, without its byte order mark; lines end in \n alone.
 *
 * @throws CheckpointError for bytes that are no text
 * @throws the signal's reason when it is aborted
 */
export async function readText(file: string, signal: AbortSignal): Promise<Text> {
  signal.throwIfAborted();
  const bytes = await readWholeFile(file, MAX_TEXT_BYTES, 'a text');
  const pauses = new Pauses(signal);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const parts: string[] = [];
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    if (pauses.isDue) await pauses.pause();
    const end = Math.min(bytes.length, start + CHUNK_BYTES);
    try {
      parts.push(decoder.decode(bytes.subarray(start, end), { stream: end < bytes.length }));
    } catch (error) {
      const reason = 'no text in UTF-8';
      throw new CheckpointError('malformed', reason, { file, offset: start }, { cause: error });
    }
  }
  const text = parts.join('').replaceAll('\r\n', '\n');
  if (text === '') throw new CheckpointError('malformed', 'an empty text', { file });
  return { text, identity: createHash('sha256').update(bytes).digest('hex') };
}

/** Texts of a file, each with the name of its class. */
export interface LabelledLines {
  readonly labels: readonly string[];
  readonly texts: readonly string[];
  readonly identity: string;
}

/** More are no data for the networks built here. */
const MAX_LINES = 2 ** 22;

/**
 * Lines `label<TAB>text`, or, where the file's name ends in `.csv`, records `label,text` with quotes as RFC 4180 has them.
 * Empty lines are passed over, and so is a first line that says `label`.
 *
 * @throws CheckpointError naming the line
 */
export async function readLabelledLines(file: string, signal: AbortSignal): Promise<LabelledLines> {
  const { text, identity } = await readText(file, signal);
  const pauses = new Pauses(signal);
  const labels: string[] = [];
  const texts: string[] = [];
  const records = /\.csv$/i.test(file) ? csvRecords(text, file) : tabRecords(text, file);
  for (const [label, content, line] of records) {
    if (pauses.isDue) await pauses.pause();
    if (labels.length === 0 && line === 1 && label.toLowerCase() === 'label') continue;
    if (label === '') throw lineError(file, line, 'a text without a label');
    if (labels.length === MAX_LINES)
      throw new CheckpointError('unsupported', `more than ${MAX_LINES} lines`, { file });
    labels.push(label);
    texts.push(content);
  }
  if (labels.length === 0)
    throw new CheckpointError('malformed', 'no lines with a label and a text', { file });
  return { labels, texts, identity };
}

/** Label, text, and the line on which they begin, from 1. */
type LabelledRecord = readonly [label: string, text: string, line: number];

function* tabRecords(text: string, file: string): Generator<LabelledRecord> {
  let line = 0;
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    line++;
    if (end > start) {
      const tab = text.indexOf('\t', start);
      if (tab < 0 || tab >= end) throw lineError(file, line, 'a line is label<TAB>text, and this has no tab');
      yield [text.slice(start, tab).trim(), text.slice(tab + 1, end), line];
    }
    start = end + 1;
  }
}

function* csvRecords(text: string, file: string): Generator<LabelledRecord> {
  let line = 1;
  for (let at = 0; at < text.length;) {
    if (text[at] === '\n') {
      at++;
      line++;
      continue;
    }
    const label = csvField(text, at, line, file);
    if (text[label.end] !== ',') throw lineError(file, line, 'a record is label,text, and this has no comma');
    const content = csvField(text, label.end + 1, line, file);
    if (content.end < text.length && text[content.end] !== '\n')
      throw lineError(file, line, 'a record of more than label,text: put a text with commas into quotes');
    yield [label.value.trim(), content.value, line];
    line += text.slice(at, content.end).split('\n').length;
    at = content.end + 1;
  }
}

function csvField(text: string, start: number, line: number, file: string): { value: string; end: number } {
  if (text[start] !== '"') {
    const rest = /[,\n]/g;
    rest.lastIndex = start;
    const end = rest.exec(text)?.index ?? text.length;
    return { value: text.slice(start, end), end };
  }
  let value = '';
  for (let at = start + 1; ;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) throw lineError(file, line, 'quotes that are not closed');
    value += text.slice(at, quote);
    if (text[quote + 1] !== '"') return { value, end: quote + 1 };
    value += '"';
    at = quote + 2;
  }
}

function lineError(file: string, line: number, reason: string): CheckpointError {
  return new CheckpointError('malformed', `line ${line}: ${printable(reason)}`, { file });
}
