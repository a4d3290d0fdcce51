import type { VerdictShown } from '../../../webview/protocol';
import type { InspectionDocument } from '../../engine/inspectionDocument';
import { inspectionReason } from '../../engine/report/inspectionSummary';

/** Names and findings that travel to a page; a person reads a few. */
const MAX_SHOWN = 60;

/** What a panel shows of an inspection. */
export function verdictShown(document: InspectionDocument): VerdictShown {
  const { verdict, meaning, globals, findings, notes } = document;
  const worst = globals.filter(({ level }) => level !== 'safe');
  const shown = worst.length > 0 ? worst : globals;
  return {
    level: verdict,
    meaning,
    reason: inspectionReason(document),
    globals: shown.slice(0, MAX_SHOWN),
    findings: findings.slice(0, MAX_SHOWN),
    notes: notes.slice(0, MAX_SHOWN),
    further: Math.max(0, shown.length - MAX_SHOWN) + Math.max(0, findings.length - MAX_SHOWN),
  };
}
