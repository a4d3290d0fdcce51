import { printable } from '../errors';
import { judgeGlobal } from './judge';
import {
  LEVELS,
  type Finding,
  type FindingKind,
  type Inspection,
  type Level,
  type NamedGlobal,
  isAtLeast,
  worse,
} from './verdict';

/** Distinct globals listed; a whole module with its optimizer names a few hundred. */
const MAX_GLOBALS = 5000;
/** Findings listed: a person reads some tens; an archive may be wrong in each of its entries. */
const MAX_FINDINGS = 500;
const MAX_NOTES = 100;
/** Of one name; what is longer is no name, and is shown shortened anyway. */
const MAX_NAME_CHARACTERS = 300;

/** Gathers what an inspection finds; bounded, but no level is ever lost. */
export class Report {
  parts = 0;
  private level: Level = 'safe';
  private readonly globals = new Map<string, NamedGlobal>();
  private readonly findings: Finding[] = [];
  private readonly noted = new Set<string>();
  private leftOutGlobals = 0;
  private leftOutFindings = 0;

  /** @param offset byte of the part. */
  find(level: Finding['level'], kind: FindingKind, message: string, where: string, offset?: number): void {
    this.level = worse(this.level, level);
    const told: Finding = {
      level,
      kind,
      message: printable(message),
      where: printable(where),
      ...(offset !== undefined && { offset }),
    };
    const same = (other: Finding) =>
      other.offset === offset && other.message === told.message && other.where === told.where;
    if (this.findings.some(same)) return;
    if (this.findings.length >= MAX_FINDINGS) {
      this.leftOutFindings++;
      // The worst is what matters: it takes the place of the mildest.
      const mildest = this.findings.findIndex((finding) => order(finding) > order({ level }));
      if (mildest < 0) return;
      this.findings.splice(mildest, 1);
    }
    this.findings.push(told);
  }

  /** A global that a pickle names, judged by name. */
  name(module: string, name: string, use: { called: boolean; count: number }, where: string, offset: number) {
    const fullName = printable(`${module}.${name}`.slice(0, MAX_NAME_CHARACTERS));
    const known = this.globals.get(fullName);
    // Names that are alike as far as they are shown need not be the same: each is judged.
    const judged = judgeGlobal(module, name);
    const { level, reason } = known !== undefined && isAtLeast(known.level, judged.level) ? known : judged;
    this.level = worse(this.level, level);
    if (known === undefined && this.globals.size >= MAX_GLOBALS && level !== 'dangerous') {
      this.leftOutGlobals++;
      return;
    }
    this.globals.set(fullName, {
      ...{ name: fullName, level, reason: printable(reason) },
      called: use.called || known?.called === true,
      count: use.count + (known?.count ?? 0),
      where: known?.where ?? printable(where),
      offset: known?.offset ?? offset,
    });
  }

  note(text: string): void {
    if (this.noted.size < MAX_NOTES) this.noted.add(printable(text));
  }

  finish(path: string, format: string, bytes: number): Inspection {
    if (this.leftOutGlobals > 0) this.note(`${this.leftOutGlobals} further globals are not listed`);
    if (this.leftOutFindings > 0) this.note(`${this.leftOutFindings} further findings are not listed`);
    return {
      ...{ path, format, bytes },
      verdict: this.level,
      globals: [...this.globals.values()].sort((a, b) => order(a) - order(b)),
      findings: [...this.findings].sort((a, b) => order(a) - order(b)),
      parts: this.parts,
      notes: [...this.noted],
    };
  }
}

/** Worst first. */
function order({ level }: { readonly level: Level }): number {
  return LEVELS.length - LEVELS.indexOf(level);
}
