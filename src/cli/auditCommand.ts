import { realpathSync, statSync } from 'node:fs';
import { CheckpointError, printable } from '../checkpoint/errors';
import { listCheckpointFiles, nothingFound } from '../checkpoint/open';
import { audit } from '../engine/audit';
import { cannotWrite, writeFileAtomically } from '../checkpoint/write/atomicFile';
import { openCache } from '../engine/cache';
import type { AuditDocument } from '../engine/document';
import { renderCsvHeader, renderCsvRows } from '../engine/report/csv';
import { renderJson } from '../engine/report/json';
import { renderMarkdown } from '../engine/report/markdown';
import { trimmed } from '../engine/report/quantities';
import { parseAudit, type AuditArguments } from './auditArguments';
import { openJobBackend } from './backend';
import type { CliCommand, Streams } from './command';
import { UsageError } from './flags';
import { AUDIT_HELP } from './help';
import { renderTable } from './table';

/** `rankscope audit`. */
export const auditCommand: CliCommand = {
  name: 'audit',
  usage: [['audit <file|folder>...', 'ranks and utilization of every layer']],
  help: AUDIT_HELP,
  parse(argv) {
    const options = parseAudit(argv);
    if (options === 'help') return 'help';
    const writesFile = options.json !== undefined && options.json !== '-';
    return (terminal) => terminal.job(writesFile, (streams, signal) => runAudit(options, streams, signal));
  },
};

/**
 * `rankscope audit`: each input in turn; one that fails is said and the others go on.
 *
 * @returns the exit code: 0, 1 when an input failed, 3 when a mean utilization is under the gate
 * @throws UsageError, or the signal's reason when cancelled
 */
async function runAudit(options: AuditArguments, streams: Streams, signal: AbortSignal): Promise<number> {
  if (options.json !== undefined && options.json !== '-') {
    const reason = cannotWrite(options.json);
    if (reason !== undefined) throw new UsageError(`--json ${printable(options.json)}: ${reason}`);
  }
  const { files, failed } = await expandInputs(options.inputs, streams, signal);
  refuseToOverwrite(options.json, files);
  const { documents, failures } = await auditAll(options, files, streams, signal);
  complainOfIdleOptions(options, documents, streams);
  if (documents.length > 0) deliverJson(options, documents, files.length, streams);
  if (failed + failures > 0) return 1;
  return holdsGate(options.failUnder, documents, streams) ? 0 : 3;
}

async function auditAll(
  options: AuditArguments,
  files: readonly string[],
  streams: Streams,
  signal: AbortSignal,
): Promise<{ documents: AuditDocument[]; failures: number }> {
  const backend = await openJobBackend(options, streams, signal);
  const cache = options.cache ? openCache() : null;
  const documents: AuditDocument[] = [];
  let failures = 0;
  try {
    for (const path of files) {
      try {
        const { layers, spectra, sha256, groups } = options;
        const { onProgress } = streams;
        const document = await audit({
          path,
          layers,
          spectra,
          sha256,
          groups,
          cache,
          backend,
          signal,
          onProgress,
        });
        streams.endProgress();
        printDocument(document, options, streams, documents.length);
        documents.push(document);
      } catch (error) {
        streams.endProgress();
        signal.throwIfAborted();
        streams.complain(oneLine(error, path));
        failures++;
      }
    }
  } finally {
    await backend.dispose();
  }
  return { documents, failures };
}

/** Folders become the checkpoints in them; everything else stays as given. What was not looked at counts as failed. */
async function expandInputs(
  inputs: readonly string[],
  streams: Streams,
  signal: AbortSignal,
): Promise<{ files: string[]; failed: number }> {
  const files: string[] = [];
  let failed = 0;
  for (const input of inputs) {
    try {
      const isFolder = statSync(input, { throwIfNoEntry: false })?.isDirectory() === true;
      if (!isFolder) {
        files.push(input);
        continue;
      }
      const listing = await listCheckpointFiles(input, signal);
      files.push(...listing.files);
      const reason = listing.incomplete ?? (listing.files.length === 0 ? nothingFound(listing) : undefined);
      if (reason !== undefined) throw new CheckpointError('unsupported', reason, { file: input });
    } catch (error) {
      signal.throwIfAborted();
      streams.complain(oneLine(error, input));
      failed++;
    }
  }
  return { files, failed };
}

/** Patterns that match nothing are slips more often than wishes. */
function complainOfIdleOptions(
  { layers, groups }: AuditArguments,
  documents: readonly AuditDocument[],
  { complain }: Streams,
): void {
  if (documents.length === 0) return;
  const found = documents.flatMap((document) => document.layers);
  // A tensor that could not be analysed was found all the same.
  const isSkipped = documents.some(({ skipped }) => skipped.some(({ name }) => layers?.test(name) === true));
  if (layers !== undefined && found.length === 0 && !isSkipped)
    complain(`no layer's name matches --layers ${printable(layers.source)}`);
  for (const { pattern } of groups)
    if (!found.some(({ name }) => pattern.test(name)))
      complain(`no layer's name matches --groups ${printable(pattern.source)}`);
}

/** An input file is never written to. */
function refuseToOverwrite(json: string | undefined, files: readonly string[]): void {
  if (json === undefined || json === '-' || statSync(json, { throwIfNoEntry: false }) === undefined) return;
  const target = realpathSync(json);
  const isInput = files.some(
    (file) => statSync(file, { throwIfNoEntry: false }) !== undefined && realpathSync(file) === target,
  );
  if (isInput) throw new UsageError(`--json ${printable(json)} would overwrite a checkpoint`);
}

/** @param index of the document among those printed */
function printDocument(
  document: AuditDocument,
  { format, sort }: AuditArguments,
  { out, display }: Streams,
  index: number,
): void {
  switch (format) {
    case 'table':
      out((index > 0 ? '\n' : '') + renderTable(document, display, sort));
      return;
    case 'csv':
      out((index === 0 ? renderCsvHeader() : '') + renderCsvRows(document, sort));
      return;
    case 'markdown':
      out(renderMarkdown(document, sort));
      return;
    case 'json':
      // Printed when all are done: several make one array.
      return;
  }
}

/** One file gives its document, several an array of those that succeeded. */
function deliverJson(
  { json, format }: AuditArguments,
  documents: readonly AuditDocument[],
  files: number,
  { out }: Streams,
): void {
  if (json === undefined && format !== 'json') return;
  const text = renderJson(files === 1 ? documents[0] : documents);
  if (format === 'json') out(text);
  if (json !== undefined && json !== '-') writeFileAtomically(json, text);
}

function holdsGate(
  least: number | undefined,
  documents: readonly AuditDocument[],
  { complain }: Streams,
): boolean {
  if (least === undefined) return true;
  const under = documents.filter(({ summary }) => (summary.meanUtilization ?? -1) < least);
  for (const { checkpoint, summary } of under) {
    const mean = summary.meanUtilization;
    // As the flag is written, and fine enough that 0.8999 is not "0.9 under 0.9".
    const found = mean === null ? 'does not exist' : `is ${trimmed(mean, 6)}`;
    complain(`${printable(checkpoint.path)}: mean layer utilization ${found}, required is ${least}`);
  }
  return under.length === 0;
}

/** An error in one line that names the file. */
function oneLine(error: unknown, path: string): string {
  if (error instanceof CheckpointError) return error.message;
  const message = error instanceof Error ? error.message : String(error);
  return `${printable(path)}: ${printable(message.split('\n', 1)[0] ?? message)}`;
}
