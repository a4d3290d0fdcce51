import { inspect as inspectFile, MEANINGS } from '../checkpoint/inspect';
import type { InspectionDocument } from './inspectionDocument';
import { TOOL } from './version';

/**
 * What a file can do to whoever loads it. Nothing in it is executed; see `checkpoint/inspect`.
 * For the same bytes and name, everything but `startedAt` and `seconds` is always the same.
 *
 * @throws {CheckpointError} when the file cannot be read; one line, naming the file.
 */
export async function inspect(path: string, signal: AbortSignal): Promise<InspectionDocument> {
  const startedAt = new Date();
  const start = performance.now();
  const { format, bytes, verdict, globals, findings, parts, notes } = await inspectFile(path, signal);
  return {
    schema: 'rankscope/inspection@1',
    tool: TOOL,
    checkpoint: { path, format, bytes },
    startedAt: startedAt.toISOString(),
    seconds: Math.round(performance.now() - start) / 1000,
    verdict,
    meaning: MEANINGS[verdict],
    ...{ globals, findings, parts, notes },
  };
}
