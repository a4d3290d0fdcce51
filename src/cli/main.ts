#!/usr/bin/env node
import { printable } from '../checkpoint/errors';
import { cacheDirectory, clearCache } from '../engine/cache';
import { TOOL } from '../engine/version';
import { UsageError, parseCommand, type AuditArguments } from './arguments';
import { runAudit } from './auditCommand';
import { AUDIT_HELP, CACHE_HELP, GENERAL_HELP } from './help';
import { CANCELLED, Cancelled, abortOnSignals } from './interruption';
import { ProgressBar } from './progressBar';
import { displayOf } from './terminal';

const HELP = { general: GENERAL_HELP, audit: AUDIT_HELP, cache: CACHE_HELP } as const;

const FAILED = 1;
const WRONG_USAGE = 2;

/** Runs the command that `argv` asks for. @returns the exit code. */
async function run(argv: readonly string[]): Promise<number> {
  const command = parseCommand(argv);
  switch (command.kind) {
    case 'help':
      print(HELP[command.topic]);
      return 0;
    case 'version':
      print(`${TOOL.name} ${TOOL.version}\n`);
      return 0;
    case 'cache':
      if (command.action === 'clear') await clearCache();
      else print(`${cacheDirectory()}\n`);
      return 0;
    case 'audit':
      return auditWithTerminal(command.arguments);
  }
}

async function auditWithTerminal(options: AuditArguments): Promise<number> {
  const progress = new ProgressBar(process.stderr, displayOf(process.stderr, process.env));
  const endProgress = () => {
    progress.erase();
  };
  onOutputFailure = (error) => {
    // `rankscope audit … | head`: the reader has seen enough, which is no failure; a file still to be written is.
    if (error.code === 'EPIPE' && options.json !== undefined && options.json !== '-') return;
    endProgress();
    endAfterOutputFailure(error);
  };
  const signal = abortOnSignals(endProgress);
  try {
    const streams = {
      out: print,
      display: displayOf(process.stdout, process.env),
      complain,
      onProgress: progress.update.bind(progress),
      endProgress,
    };
    return await runAudit(options, streams, signal);
  } finally {
    endProgress();
  }
}

/** What to do when stdout cannot be written to; a command may have more to say. */
let onOutputFailure: (error: NodeJS.ErrnoException) => void = endAfterOutputFailure;

/** Nobody reading any more is quiet; a full disk is a failure in one line. */
function endAfterOutputFailure(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  complain(`cannot write the output: ${printable(error.message)}`);
  process.exit(FAILED);
}

function print(text: string): void {
  process.stdout.write(text);
}

function complain(line: string): void {
  process.stderr.write(`rankscope: ${line}\n`);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof Cancelled) {
    complain('cancelled');
    return CANCELLED;
  }
  const message = error instanceof Error ? error.message : String(error);
  complain(printable(message.split('\n', 1)[0] ?? message));
  return error instanceof UsageError ? WRONG_USAGE : FAILED;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  onOutputFailure(error);
});
// Nobody is left to tell.
process.stderr.on('error', () => undefined);

// The code is set, not exited with: what was written to a pipe still has to be taken by its reader.
run(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.exitCode = exitCodeOf(error);
  },
);
