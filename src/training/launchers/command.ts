/** Programs that a launcher asks: their answer in bounded time and memory. */
import { execFile } from 'node:child_process';
import { printable } from '../../checkpoint/errors';

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly folder?: string;
  readonly signal?: AbortSignal;
  /** After which it is killed. */
  readonly milliseconds: number;
  /** More output than this kills it too. */
  readonly maxBytes?: number;
}

export interface CommandAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why there is no answer; `message` is one line. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';

  constructor(
    readonly reason: 'missing' | 'silent' | 'endless' | 'refused',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const MAX_BYTES = 1 << 20;

/**
 * Runs a program, without a shell, to its end.
 *
 * @throws CommandFailure when it cannot be started, or does not end in time; the signal's reason
 */
export async function runCommand(
  command: readonly [string, ...string[]],
  { env, folder, signal, milliseconds, maxBytes = MAX_BYTES }: CommandOptions,
): Promise<CommandAnswer> {
  signal?.throwIfAborted();
  const [program, ...args] = command;
  return await new Promise((resolve, reject) => {
    const options = {
      ...(env && { env }),
      ...(folder !== undefined && { cwd: folder }),
      ...(signal && { signal }),
      timeout: milliseconds,
      // It may hang where a wish is not heard.
      killSignal: 'SIGKILL' as const,
      maxBuffer: maxBytes,
      windowsHide: true,
    };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) {
        resolve({ code: 0, stdout, stderr });
      } else if (signal?.aborted === true) {
        // An abort's reason is whatever the caller gave.
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
        reject(signal.reason);
      } else if (typeof error.code === 'number') {
        resolve({ code: error.code, stdout, stderr });
      } else {
        reject(failureOf(program, error, milliseconds));
      }
    });
  });
}

function failureOf(
  program: string,
  error: Error & { code?: unknown; killed?: boolean; signal?: unknown },
  milliseconds: number,
): CommandFailure {
  const name = printable(program);
  if (error.code === 'ENOENT')
    return new CommandFailure('missing', `${name} was not found`, { cause: error });
  if (error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER')
    return new CommandFailure('endless', `${name} answers more than can be read`, { cause: error });
  if (error.killed === true) {
    const seconds = Math.round(milliseconds / 1000);
    return new CommandFailure('silent', `${name} did not answer within ${seconds} s`, { cause: error });
  }
  const why = typeof error.code === 'string' ? error.code : firstLine(error.message);
  return new CommandFailure('refused', `${name} does not run (${why})`, { cause: error });
}

/** The first line that says something, made safe to print. */
export function firstLine(text: string): string {
  const line = text.split('\n').find((each) => each.trim() !== '') ?? '';
  return printable(line.trim());
}
