import { spawn, type ChildProcessByStdio } from 'node:child_process';
import path from 'node:path';
import { Writable, type Readable } from 'node:stream';
import { HostEnd } from '../engine/connection';
import type { EngineRequests } from '../engine/protocol';

/** A line of the engine's standard error longer than this is cut: it is for the log, not for reading. */
const MAX_LINE = 2000;

/** How the engine is started: Node itself, or an Electron program made to behave like it. */
export interface EngineProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** The engine of an installation, run by the program that runs the extension host. */
export function engineProgram(engineFile: string): EngineProgram {
  // Set for the host when it is being debugged; the engine would wait for a debugger of its own.
  const { NODE_OPTIONS: _nodeOptions, VSCODE_INSPECTOR_OPTIONS: _inspector, ...env } = process.env;
  return { command: process.execPath, args: [engineFile], env: { ...env, ELECTRON_RUN_AS_NODE: '1' } };
}

/** One engine process and the connection to it. */
export class EngineProcess {
  readonly host: HostEnd;
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  /** Why the process is no more; undefined while it runs. */
  private reason: string | undefined;

  /**
   * @param onExit called once, with the reason in words.
   * @param onStderr called with each line.
   */
  constructor(
    { command, args, env }: EngineProgram,
    private readonly onExit: (reason: string) => void,
    onStderr: (line: string) => void,
  ) {
    const [file] = args;
    this.child = spawn(command, args, {
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
      windowsHide: true,
      // Not the workspace: a folder in use cannot be renamed on Windows.
      ...(file !== undefined && { cwd: path.dirname(file) }),
    });
    this.host = new HostEnd(this.child.stdout, neverFailing(this.child.stdin), onStderr);
    this.child.on('error', (error) => {
      this.ended(error.message);
    });
    this.child.on('exit', (code, signal) => {
      this.ended(signal === null ? `code ${code ?? '?'}` : `signal ${signal}`);
    });
    forEachLine(this.child.stderr, onStderr);
  }

  get pid(): number | undefined {
    return this.reason === undefined ? this.child.pid : undefined;
  }

  get lost(): string | undefined {
    return this.reason;
  }

  request<K extends keyof EngineRequests>(
    method: K,
    params: EngineRequests[K]['params'],
    signal?: AbortSignal,
  ): Promise<EngineRequests[K]['result']> {
    return this.host.request(method, params, signal);
  }

  /** Ends the process; `onExit` is not called for it. */
  stop(): void {
    if (this.reason !== undefined) return;
    this.reason = 'stopped';
    this.host.dispose();
    this.child.stdin.end();
    this.child.kill();
  }

  private ended(reason: string): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.host.dispose();
    this.onExit(reason);
  }
}

/**
 * The process may end while something is written to it, or before. Its exit says so; a failed write would only be a
 * second, unhandled way to hear of it.
 */
function neverFailing(stream: Writable): Writable {
  stream.on('error', () => undefined);
  return new Writable({
    write: (chunk, _encoding, done) => {
      stream.write(chunk, () => {
        done();
      });
    },
  });
}

function forEachLine(stream: Readable, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, MAX_LINE);
    for (const line of lines) if (line !== '') onLine(line.slice(0, MAX_LINE));
  });
}
