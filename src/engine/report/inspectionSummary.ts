import { countOf, inARow } from '../../checkpoint/wording';
import type { InspectionDocument, Level } from '../inspectionDocument';

/** Globals named in one line; the rest is counted. */
const NAMED = 3;

/** Whether a file may be loaded, in one line: `dangerous: names os.system and posix.system`. */
export function inspectionLine({ verdict, globals, findings }: InspectionDocument): string {
  const named = globals.filter(({ level }) => level === verdict).map(({ name }) => name);
  const found = findings.filter(({ level }) => level === verdict);
  if (verdict === 'safe')
    return globals.length === 0 ? 'safe: holds no code' : 'safe: names only what is known to be harmless';
  const parts: string[] = [];
  if (named.length > 0) {
    const shown = named.slice(0, NAMED);
    if (named.length > NAMED) shown.push(`${named.length - NAMED} more`);
    parts.push(`names ${inARow(shown)}`);
  }
  const [first] = found;
  if (first !== undefined && named.length === 0) parts.push(first.message);
  else if (found.length > 0) parts.push(countOf(found.length, 'finding'));
  return `${verdict}: ${parts.join('; ')}`;
}

/** What stands before a level where there are no colours. */
export const LEVEL_MARKS: Readonly<Record<Level, string>> = {
  safe: 'ok',
  unknown: '?',
  suspicious: '!',
  dangerous: '!!',
};
