import { statSync } from 'node:fs';
import path from 'node:path';
import { CheckpointError } from '../checkpoint/errors';
import { LEVELS, MEANINGS, inspect as inspectFile, type Level } from '../checkpoint/inspect';
import { listInspected } from '../checkpoint/inspect/folder';
import { countOf } from '../checkpoint/wording';
import type { InspectionDocument } from './inspectionDocument';
import { TOOL } from './version';

/**
 * What a file can do to whoever loads it. Nothing in it is executed; see `checkpoint/inspect`.
 * For the same bytes and name, everything but `startedAt` and `seconds` is always the same.
 *
 * @throws {CheckpointError} when the file cannot be read; one line, naming the file.
 */
export async function inspect(file: string, signal: AbortSignal): Promise<InspectionDocument> {
  const startedAt = new Date();
  const start = performance.now();
  const { format, bytes, verdict, globals, findings, parts, notes } = await inspectFile(file, signal);
  return {
    schema: 'rankscope/inspection@1',
    tool: TOOL,
    checkpoint: { path: file, format, bytes },
    startedAt: startedAt.toISOString(),
    seconds: Math.round(performance.now() - start) / 1000,
    verdict,
    meaning: MEANINGS[verdict],
    ...{ globals, findings, parts, notes },
  };
}

/** Files of one model; sharded ones have some hundreds. */
const MAX_FILES = 1000;

/**
 * The same of a folder that is one model: all that was found in its files, each under its file's name.
 *
 * @throws {CheckpointError} when a file or the folder cannot be read.
 */
export async function inspectModel(model: string, signal: AbortSignal): Promise<InspectionDocument> {
  if (statSync(model, { throwIfNoEntry: false })?.isDirectory() !== true) return inspect(model, signal);
  const { files, pythonFiles, incomplete } = await listInspected(model, signal);
  if (files.length === 0)
    throw new CheckpointError('unsupported', 'no models in this folder', { file: model });
  const documents: InspectionDocument[] = [];
  for (const file of files.slice(0, MAX_FILES)) documents.push(await inspect(file, signal));
  const notes = new Set(documents.flatMap((document) => document.notes));
  if (pythonFiles > 0) notes.add(`${countOf(pythonFiles, 'Python file')} beside it not looked at`);
  if (incomplete !== undefined) notes.add(incomplete);
  return merged(model, documents, files.length, [...notes]);
}

function merged(
  model: string,
  documents: readonly InspectionDocument[],
  files: number,
  notes: readonly string[],
): InspectionDocument {
  const inFile = (document: InspectionDocument, where: string) => {
    const name = path.relative(model, document.checkpoint.path);
    return where === '' ? name : `${name} > ${where}`;
  };
  const within = <T extends { readonly where: string; readonly level: Level }>(
    pick: (document: InspectionDocument) => readonly T[],
  ): T[] =>
    documents
      .flatMap((document) => pick(document).map((item) => ({ ...item, where: inFile(document, item.where) })))
      .sort((a, b) => LEVELS.indexOf(b.level) - LEVELS.indexOf(a.level));
  const isWhole = files === documents.length;
  const findings = within((document) => document.findings);
  if (!isWhole) {
    const message = `${files - documents.length} further files were not looked at`;
    findings.push({ level: 'unknown', kind: 'limit', message, where: '' });
  }
  const levels = [...documents.map(({ verdict }) => verdict), ...(isWhole ? [] : ['unknown' as const])];
  const verdict = levels.reduce<Level>(
    (worst, level) => (LEVELS.indexOf(level) > LEVELS.indexOf(worst) ? level : worst),
    'safe',
  );
  const sum = (of: (document: InspectionDocument) => number) =>
    documents.reduce((total, one) => total + of(one), 0);
  return {
    schema: 'rankscope/inspection@1',
    tool: TOOL,
    checkpoint: {
      path: model,
      format: `a folder of ${countOf(files, 'file')}`,
      bytes: sum(({ checkpoint }) => checkpoint.bytes),
    },
    startedAt: documents[0]?.startedAt ?? '',
    seconds: Math.round(1000 * sum(({ seconds }) => seconds)) / 1000,
    verdict,
    meaning: MEANINGS[verdict],
    globals: within((document) => document.globals),
    findings,
    parts: sum(({ parts }) => parts),
    notes,
  };
}
