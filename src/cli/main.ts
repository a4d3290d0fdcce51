#!/usr/bin/env node
import { printable } from '../checkpoint/errors';
import type { Streams, Terminal } from './command';
import { parseCommand } from './commands';
import { UsageError } from './flags';
import { CANCELLED, Cancelled, abortOnSignals } from './interruption';
import { ProgressBar } from './progressBar';
import { displayOf } from './terminal';

const FAILED = 1;
const WRONG_USAGE = 2;

const terminal: Terminal = { print, complain, job };

async function job(
  hasMoreToWrite: boolean,
  work: (streams: Streams, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const progress = new ProgressBar(process.stderr, displayOf(process.stderr, process.env));
  const endProgress = () => {
    progress.erase();
  };
  onOutputFailure = (error) => {
    // `rankscope audit … | head`: the reader has seen enough, which is no failure; a file still to be written is.
    if (error.code === 'EPIPE' && hasMoreToWrite) return;
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
    return await work(streams, signal);
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
Promise.resolve()
  .then(() => parseCommand(process.argv.slice(2))(terminal))
  .then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      process.exitCode = exitCodeOf(error);
    },
  );
