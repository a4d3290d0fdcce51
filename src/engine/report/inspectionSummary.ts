import { countOf, inARow } from '../../checkpoint/wording';
import type { InspectionDocument, Level } from '../inspectionDocument';

/** Globals named in one line; the rest is counted. */
const NAMED = 3;

/** Whether a file may be loaded, in one line: `dangerous: names os.system and posix.system`. */
export function inspectionLine(
  document: Pick<InspectionDocument, 'verdict' | 'globals' | 'findings'>,
): string {
  return `${document.verdict}: ${inspectionReason(document)}`;
}

/** What the verdict rests on, in a few words. */
export function inspectionReason({
  verdict,
  globals,
  findings,
}: Pick<InspectionDocument, 'verdict' | 'globals' | 'findings'>): string {
  if (verdict === 'safe')
    return globals.length === 0 ? 'holds no code' : 'names only what is known to be harmless';
  const named = globals.filter(({ level }) => level === verdict).map(({ name }) => name);
  const found = findings.filter(({ level }) => level === verdict);
  const parts: string[] = [];
  if (named.length > 0) {
    const shown = named.slice(0, NAMED);
    if (named.length > NAMED) shown.push(`${named.length - NAMED} more`);
    parts.push(`names ${inARow(shown)}`);
  }
  const [first] = found;
  if (first !== undefined && found.length === 1) parts.push(first.message);
  else if (first !== undefined)
    parts.push(`${first.message}, and ${countOf(found.length - 1, 'further finding')}`);
  return parts.join('; ');
}

/** What stands before a level where there are no colours. */
export const LEVEL_MARKS: Readonly<Record<Level, string>> = {
  safe: 'ok',
  unknown: '?',
  suspicious: '!',
  dangerous: '!!',
};
