/** `rankscope/inspection@1`; its JSON Schema is `media/schema/inspection.schema.json`: change both together. */
import type { Finding, Level, NamedGlobal } from '../checkpoint/inspect/verdict';

export type { Finding, Level, NamedGlobal } from '../checkpoint/inspect/verdict';

export interface InspectionDocument {
  readonly schema: 'rankscope/inspection@1';
  readonly tool: { readonly name: 'rankscope'; readonly version: string };
  readonly checkpoint: { readonly path: string; readonly format: string; readonly bytes: number };
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly seconds: number;
  readonly verdict: Level;
  /** What the verdict means, in one line. */
  readonly meaning: string;
  /** Everything that pickles in the file name, worst first. */
  readonly globals: readonly NamedGlobal[];
  /** Worst first. */
  readonly findings: readonly Finding[];
  /** Parts that were looked at: pickles, archives, headers. */
  readonly parts: number;
  /** What is not held against the file, such as what was not looked at. */
  readonly notes: readonly string[];
}
