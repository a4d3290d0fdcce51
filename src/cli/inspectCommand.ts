import { realpathSync, statSync } from 'node:fs';
import { CheckpointError, printable } from '../checkpoint/errors';
import { isAtLeast } from '../checkpoint/inspect/verdict';
import { listInspected } from '../checkpoint/inspect/folder';
import { countOf } from '../checkpoint/wording';
import { cannotWrite, writeFileAtomically } from '../checkpoint/write/atomicFile';
import { inspect } from '../engine/inspect';
import type { InspectionDocument } from '../engine/inspectionDocument';
import { renderJson } from '../engine/report/json';
import { inspectionLine } from '../engine/report/inspectionSummary';
import type { CliCommand, Streams } from './command';
import { UsageError } from './flags';
import { INSPECT_HELP } from './help';
import { parseInspect, type InspectArguments } from './inspectArguments';
import { renderInspection, renderVerdict } from './inspectTable';

/** `rankscope inspect`. */
export const inspectCommand: CliCommand = {
  name: 'inspect',
  usage: [['inspect <file|folder>...', 'what a file can do to whoever loads it']],
  help: INSPECT_HELP,
  parse(argv) {
    const options = parseInspect(argv);
    if (options === 'help') return 'help';
    const writesFile = options.json !== undefined && options.json !== '-';
    return (terminal) => terminal.job(writesFile, (streams, signal) => runInspect(options, streams, signal));
  },
};

/**
 * Each input in turn; one that cannot be read is said and the others go on.
 *
 * @returns the exit code: 0, 1 when an input could not be read, 3 when a verdict is as bad as the gate
 * @throws UsageError, or the signal's reason when cancelled
 */
async function runInspect(options: InspectArguments, streams: Streams, signal: AbortSignal): Promise<number> {
  const { json } = options;
  if (json !== undefined && json !== '-') {
    const reason = cannotWrite(json);
    if (reason !== undefined) throw new UsageError(`--json ${printable(json)}: ${reason}`);
  }
  const { files, failed } = await expand(options.inputs, streams, signal);
  refuseToOverwrite(json, files);
  const documents: InspectionDocument[] = [];
  let failures = failed;
  for (const file of files) {
    try {
      const document = await inspect(file, signal);
      print(document, files.length, documents.length, options, streams);
      documents.push(document);
    } catch (error) {
      signal.throwIfAborted();
      streams.complain(oneLine(error, file));
      failures++;
    }
  }
  if (documents.length > 0) deliverJson(options, documents, files.length, streams);
  if (failures > 0) return 1;
  return holdsGate(options, documents, streams) ? 0 : 3;
}

/** Folders become the files in them that a program may load. What was not looked at counts as failed. */
async function expand(
  inputs: readonly string[],
  { complain }: Streams,
  signal: AbortSignal,
): Promise<{ files: string[]; failed: number }> {
  const files: string[] = [];
  let failed = 0;
  for (const input of inputs) {
    if (statSync(input, { throwIfNoEntry: false })?.isDirectory() !== true) {
      files.push(input);
      continue;
    }
    try {
      const found = await listInspected(input, signal);
      files.push(...found.files);
      if (found.pythonFiles > 0)
        complain(`${printable(input)}: ${countOf(found.pythonFiles, 'Python file')} not looked at`);
      const reason = found.incomplete ?? (found.files.length === 0 ? 'no models in this folder' : undefined);
      if (reason !== undefined) throw new CheckpointError('unsupported', reason, { file: input });
    } catch (error) {
      signal.throwIfAborted();
      complain(oneLine(error, input));
      failed++;
    }
  }
  return { files, failed };
}

/** An input file is never written to. */
function refuseToOverwrite(json: string | undefined, files: readonly string[]): void {
  if (json === undefined || json === '-' || statSync(json, { throwIfNoEntry: false }) === undefined) return;
  const target = realpathSync(json);
  const isInput = files.some(
    (file) => statSync(file, { throwIfNoEntry: false }) !== undefined && realpathSync(file) === target,
  );
  if (isInput) throw new UsageError(`--json ${printable(json)} would overwrite a file that is inspected`);
}

/** One file in full; of several a line each, and in full what is worse than unknown. */
function print(
  document: InspectionDocument,
  files: number,
  index: number,
  { format, all }: InspectArguments,
  { out, display }: Streams,
): void {
  if (format === 'json') return;
  if (files === 1) out(renderInspection(document, all, display));
  else if (all) out((index > 0 ? '\n' : '') + renderInspection(document, all, display));
  else out(renderVerdict(document, display));
}

/** One file gives its document, several an array of those that were read. */
function deliverJson(
  { json, format }: InspectArguments,
  documents: readonly InspectionDocument[],
  files: number,
  { out }: Streams,
): void {
  if (json === undefined && format !== 'json') return;
  const text = renderJson(files === 1 ? documents[0] : documents);
  if (format === 'json') out(text);
  if (json !== undefined && json !== '-') writeFileAtomically(json, text);
}

function holdsGate(
  { failOn }: InspectArguments,
  documents: readonly InspectionDocument[],
  { complain }: Streams,
): boolean {
  if (failOn === undefined) return true;
  const refused = documents.filter(({ verdict }) => isAtLeast(verdict, failOn));
  for (const document of refused)
    complain(`${printable(document.checkpoint.path)}: ${inspectionLine(document)}`);
  return refused.length === 0;
}

/** An error in one line that names the file. */
function oneLine(error: unknown, path: string): string {
  if (error instanceof CheckpointError) return error.message;
  const message = error instanceof Error ? error.message : String(error);
  return `${printable(path)}: ${printable(message.split('\n', 1)[0] ?? message)}`;
}
