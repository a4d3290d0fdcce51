/** One Python process, and the lines that are exchanged with it. */
import { execFile, spawn, type ChildProcessByStdio } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { abortReason } from '../../compute';
import { printable } from '../../checkpoint/errors';
import { PROTOCOL, type PythonAnswer, type PythonEvent, type PythonRequests } from './protocol';

/** Python says hello before it imports anything large; this long a silence is a process that does not run. */
const HELLO_MILLISECONDS = 60_000;
/** The longest line is the list of layers: some hundred bytes each, a few thousand layers. */
const MAX_LINE = 16 * 1024 * 1024;
/** A line of the log longer than this is cut: it is for reading. */
const MAX_LOG_LINE = 2000;
/** Time Python has to end by itself once its input is closed. */
const END_MILLISECONDS = 1000;

const HOST_FILE = path.join('media', 'python', 'rankscope_host.py');

export interface PythonProgram {
  readonly python: string;
  /** Folder it runs in: that of the user's file, where its relative paths begin. */
  readonly folder: string;
  /** Told what the user's code prints, a line at a time. */
  readonly onLog: (line: string) => void;
  /** Told what is said between answers, after hello. */
  readonly onEvent: (event: PythonEvent) => void;
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class PythonProcess {
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private readonly waiting = new Map<number, Waiting>();
  private readonly exited: Promise<void>;
  private readonly hello: Promise<void>;
  private greet: Waiting | undefined;
  private nextId = 1;
  private stage = 'starting';
  /** Why there are no more answers; undefined while there are. */
  private end: Error | undefined;
  private isRunning = true;

  private constructor(private readonly program: PythonProgram) {
    // No shell: the names come from a recipe.
    this.child = spawn(program.python, ['-u', hostFile()], {
      cwd: program.folder,
      env: environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
      windowsHide: true,
      // A group of its own, so that its workers end with it.
      detached: process.platform !== 'win32',
    });
    this.hello = new Promise((resolve, reject) => {
      this.greet = {
        resolve: () => {
          resolve();
        },
        reject,
      };
    });
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        // Workers that outlive the process that started them. Now or never: its number may soon be another's.
        this.killGroup();
        this.isRunning = false;
        this.ended(deathOf(program.python, code, signal, this.stage));
        resolve();
      });
      this.child.once('error', (error) => {
        this.ended(new Error(`${printable(program.python)} does not start: ${printable(error.message)}`));
        resolve();
      });
    });
    // The process may end while something is written to it; its exit says so.
    this.child.stdin.on('error', () => undefined);
    forEachLine(this.child.stdout, MAX_LINE, (line) => {
      this.take(line);
    });
    forEachLine(this.child.stderr, MAX_LOG_LINE, program.onLog);
  }

  /**
   * Starts Python and waits until it answers.
   *
   * @throws {Error} with one line that says what to do, or the signal's reason
   */
  static async start(program: PythonProgram, signal: AbortSignal): Promise<PythonProcess> {
    signal.throwIfAborted();
    const started = new PythonProcess(program);
    const timer = setTimeout(() => {
      started.kill(new Error(`${printable(program.python)} says nothing: is it a Python interpreter?`));
    }, HELLO_MILLISECONDS);
    try {
      await started.unlessAborted(started.hello, signal);
    } finally {
      clearTimeout(timer);
    }
    return started;
  }

  /**
   * @throws {Error} with the one-line message of what went wrong in Python, or of how it ended; after an abort, the
   *   signal's reason at once: the process is killed, as nothing else stops what it is doing
   */
  async request<K extends keyof PythonRequests>(
    method: K,
    params: PythonRequests[K]['params'],
    signal?: AbortSignal,
  ): Promise<PythonRequests[K]['result']> {
    if (this.end !== undefined) throw this.end;
    signal?.throwIfAborted();
    const id = this.nextId++;
    const answer = new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
    });
    this.stage = STAGES[method];
    this.child.stdin.write(`${JSON.stringify({ id, method, params })}\n`);
    const result = await (signal === undefined ? answer : this.unlessAborted(answer, signal));
    // The file at the other end is ours and of the same protocol.
    return result as PythonRequests[K]['result'];
  }

  /** Ends the process and everything it started. */
  async dispose(): Promise<void> {
    this.end ??= new Error('the network is closed');
    this.child.stdin.end();
    const timer = setTimeout(() => {
      this.killGroup();
    }, END_MILLISECONDS);
    await this.exited;
    clearTimeout(timer);
  }

  private async unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    const onAbort = (): void => {
      // An abort's reason is whatever the caller gave.
      this.kill(abortReason(signal));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await work;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  private kill(reason: Error): void {
    this.ended(reason);
    this.killGroup();
  }

  private killGroup(): void {
    const { pid } = this.child;
    if (pid === undefined || !this.isRunning) return;
    if (process.platform === 'win32') {
      if (this.child.exitCode !== null) return;
      execFile('taskkill', ['/pid', String(pid), '/T', '/F'], { windowsHide: true }, () => undefined);
      return;
    }
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // Nothing of it is left.
    }
  }

  private ended(reason: Error): void {
    this.end ??= reason;
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    if (this.greet !== undefined) waiting.push(this.greet);
    this.greet = undefined;
    for (const { reject } of waiting) reject(this.end);
  }

  private take(line: string): void {
    const message = parse(line);
    if (message === undefined) {
      this.kill(new Error('Python wrote something else than answers: does the code open file descriptors?'));
    } else if ('id' in message) {
      const waiting = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if ('error' in message) waiting?.reject(new Error(oneLine(message.error)));
      else waiting?.resolve(message.result);
    } else if (message.event === 'hello') {
      const { greet } = this;
      this.greet = undefined;
      if (message.protocol === PROTOCOL) greet?.resolve(undefined);
      else greet?.reject(new Error('rankscope_host.py is of another version: install Rankscope again'));
    } else {
      if (message.event === 'stage') this.stage = message.text;
      this.program.onEvent(message);
    }
  }
}

/** What Python is doing in a request, for the message if it dies of it. */
const STAGES: Readonly<Record<keyof PythonRequests, string>> = {
  open: 'opening the model',
  weight: 'reading a weight',
  gramPass: 'summing the Gram matrices',
  gram: 'handing over a Gram matrix',
  evaluate: 'evaluating the network',
  commit: 'changing a weight',
  reset: 'putting the weights back',
};

function deathOf(python: string, code: number | null, signal: string | null, stage: string): Error {
  const name = printable(python);
  if (signal === 'SIGKILL')
    return new Error(
      `Python (${name}) was killed while ${stage}: it may have run out of memory; smaller batches need less`,
    );
  const how = signal === null ? `ended with code ${code ?? '?'}` : `was ended by ${signal}`;
  return new Error(`Python (${name}) ${how} while ${stage}: its last lines are in the log`);
}

function parse(line: string): PythonAnswer | PythonEvent | undefined {
  try {
    // The file at the other end is ours and of the same protocol; anything else is told by these two fields.
    const message = JSON.parse(line) as PythonAnswer | PythonEvent;
    return 'id' in message || 'event' in message ? message : undefined;
  } catch {
    return undefined;
  }
}

/** A message is bounded where it is made; what remains is to keep a terminal's controls out of it. */
function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are the characters to remove
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}

/** The user's own environment, but for what belongs to this program. */
function environment(): NodeJS.ProcessEnv {
  const { ELECTRON_RUN_AS_NODE: _node, NODE_OPTIONS: _options, ...env } = process.env;
  return { ...env, PYTHONIOENCODING: 'utf-8:backslashreplace' };
}

/** Bundles lie in dist/, tests two folders further down. */
function hostFile(): string {
  const candidates = [path.join(__dirname, '..'), path.join(__dirname, '..', '..', '..')];
  const found = candidates.map((folder) => path.join(folder, HOST_FILE)).find((file) => existsSync(file));
  if (found === undefined) throw new Error(`${HOST_FILE} is missing from the installation`);
  return found;
}

/** @param onLine told of each line; what is longer than `max` is cut */
function forEachLine(stream: Readable, max: number, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, max);
    for (const line of lines) if (line !== '') onLine(line.replace(/\r$/, '').slice(0, max));
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}
