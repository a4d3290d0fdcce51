/** What the page says of a file's safety: a line that stands by itself, and the list behind it. */
import type { VerdictShown } from '../protocol';

type Level = VerdictShown['level'];

/** The words say all: colour and picture only repeat them. */
const HEADS: Readonly<Record<Level, string>> = {
  safe: 'Safe to load',
  unknown: 'Safe to load only if you trust its source',
  suspicious: 'Suspicious',
  dangerous: 'Dangerous to load',
};

const MARKS: Readonly<Record<Level, string>> = {
  safe: 'harmless',
  unknown: 'unknown',
  suspicious: 'suspicious',
  dangerous: 'dangerous',
};

/** Longest name or path shown; the page breaks lines, not minds. */
const MAX_CHARACTERS = 160;

export interface VerdictLine {
  readonly level: Level;
  readonly head: string;
  /** Lower case, after the head. */
  readonly reason: string;
  readonly meaning: string;
  readonly items: readonly VerdictItem[];
  readonly notes: readonly string[];
}

export interface VerdictItem {
  /** Its level in a word. */
  readonly mark: string;
  readonly level: Level;
  readonly text: string;
  /** Part of the file and byte; empty when it is the file as a whole. */
  readonly place: string;
}

export function verdictLine(verdict: VerdictShown): VerdictLine {
  const { level, meaning, reason, globals, findings, notes, further } = verdict;
  const names = globals.map((global): VerdictItem => {
    const does = global.level === 'safe' ? '' : `: ${global.reason}`;
    const use = global.called ? ' (called)' : '';
    return item(global.level, `${cut(global.name)}${does}${use}`, global.where, global.offset);
  });
  const found = findings.map((finding) =>
    item(finding.level, cut(finding.message), finding.where, finding.offset),
  );
  return {
    level,
    head: HEADS[level],
    reason: cut(reason),
    meaning,
    items: [...names, ...found],
    notes: further > 0 ? [...notes, `${further} more: rankscope inspect lists them all`] : notes,
  };
}

function item(level: Level, text: string, where: string, offset: number | undefined): VerdictItem {
  const parts = [where === '' ? '' : cut(where), offset === undefined ? '' : `byte ${offset}`];
  return { mark: MARKS[level], level, text, place: parts.filter((part) => part !== '').join(', ') };
}

function cut(text: string): string {
  return text.length <= MAX_CHARACTERS ? text : `${text.slice(0, MAX_CHARACTERS)}…`;
}
