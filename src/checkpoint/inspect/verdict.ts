/** What can be said of a file before anything loads it, from harmless to harmful. */
export const LEVELS = ['safe', 'unknown', 'suspicious', 'dangerous'] as const;
export type Level = (typeof LEVELS)[number];

/** What each level means, in one line for people. */
export const MEANINGS: Readonly<Record<Level, string>> = {
  safe: 'No code can come of it: it holds values, or names only what is known to be harmless.',
  unknown:
    'It names or holds something that nobody here can vouch for: load it only from a source you trust.',
  suspicious:
    'It was made unlike any tool makes such files: two programs may see two different things in it.',
  dangerous: 'Loading or running it can run commands, or reach files or the network: do not load it.',
};

/** Whether a is at least as bad as b. */
export function isAtLeast(a: Level, b: Level): boolean {
  return LEVELS.indexOf(a) >= LEVELS.indexOf(b);
}

export function worse(a: Level, b: Level): Level {
  return isAtLeast(a, b) ? a : b;
}

/**
 * What a finding is about. `pickle`: its opcodes; `archive`: ZIP, tar, 7z; `path`: a name that leads elsewhere; `code`:
 * code or operators that the model itself carries; `format`: what the file is; `limit`: what was not looked at.
 */
export const FINDING_KINDS = ['pickle', 'archive', 'path', 'code', 'format', 'limit'] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

/** Something that makes a file worse than safe, other than a global that a pickle names. */
export interface Finding {
  readonly level: Exclude<Level, 'safe'>;
  readonly kind: FindingKind;
  readonly message: string;
  /** Part of the file: entries of archives from the outside in; empty for the file itself. Hostile text. */
  readonly where: string;
  /** Byte of that part. */
  readonly offset?: number;
}

/** A class or function that a pickle names, which Python imports as it reads the name. */
export interface NamedGlobal {
  /** `module.name`. Hostile text. */
  readonly name: string;
  readonly level: Level;
  readonly reason: string;
  /** Whether the pickle calls it, rather than only naming it. */
  readonly called: boolean;
  /** How often it is named. */
  readonly count: number;
  /** Part of the file that names it first, and the byte of that part. */
  readonly where: string;
  readonly offset: number;
}

/** What an inspection found. */
export interface Inspection {
  readonly path: string;
  /** For people: what the content is. */
  readonly format: string;
  readonly bytes: number;
  readonly verdict: Level;
  /** Worst first. */
  readonly globals: readonly NamedGlobal[];
  /** Worst first. */
  readonly findings: readonly Finding[];
  /** Parts that were looked at: pickles, archives, headers. */
  readonly parts: number;
  /** What a person should know that is not held against the file, such as what was not looked at. */
  readonly notes: readonly string[];
}
