import { fork, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import { abortReason } from '../abort';
import { bundledFile } from '../wasm/kernels';
import type { DeviceFacts, DeviceKind, DeviceSettings } from './device';
import type { DeviceCall, DeviceCalls, FromDevice, ToDevice } from './protocol';

/** A device ended, hung or ran out of something: what it was asked for is to be computed elsewhere. */
export class DeviceLost extends Error {}

interface Pending {
  readonly resolve: (result: DeviceCalls[DeviceCall]['result']) => void;
  readonly reject: (error: Error) => void;
  readonly onFraction: ((fraction: number) => void) | undefined;
}

/** A script of Node's, and its arguments. */
export interface DeviceProgram {
  readonly file: string;
  readonly args: readonly string[];
}

export interface OpenOptions {
  readonly signal: AbortSignal;
  /** A device that has not opened by then is not there. */
  readonly limitMs: number;
  /** What runs as the device's process; absent: the one that is built for it. */
  readonly program?: DeviceProgram | undefined;
}

/** Words of a library that explain why a process ended; the last of them. */
const KEPT_OUTPUT = 4000;

/** A device that is open in a process of its own. */
export class DeviceProcess {
  readonly #pending = new Map<number, Pending>();
  #next = 0;
  #lost: DeviceLost | undefined;
  #output = '';

  private constructor(
    private readonly child: ChildProcess,
    readonly kind: DeviceKind,
  ) {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-KEPT_OUTPUT);
    });
    child.on('error', (error) => {
      this.#lose(`its process failed: ${error.message}`);
    });
    child.on('exit', (code, signal) => {
      const how = signal === null ? `with code ${code}` : `by ${signal}`;
      this.#lose(`its process ended ${how}${this.#lastWords()}`);
    });
  }

  /**
   * @throws DeviceLost in one line: what is missing, or that it did not open in time
   * @throws the signal's reason
   */
  static async open(
    kind: DeviceKind,
    settings: DeviceSettings,
    { signal, limitMs, program }: OpenOptions,
  ): Promise<{ process: DeviceProcess; facts: DeviceFacts; takesFloat64: boolean }> {
    signal.throwIfAborted();
    const child = fork(program?.file ?? bundledFile('device.js'), program?.args ?? [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [],
    });
    const opened = new DeviceProcess(child, kind);
    try {
      const { facts, takesFloat64 } = await opened.#start({ device: kind, settings }, signal, limitMs);
      opened.unref();
      return { process: opened, facts, takesFloat64 };
    } catch (error) {
      await opened.dispose();
      throw error;
    }
  }

  /** Whether it is gone, and how. */
  get lost(): DeviceLost | undefined {
    return this.#lost;
  }

  /**
   * @param limitMs after which it counts as hung, and is ended
   * @throws DeviceLost, or the signal's reason
   */
  run<K extends DeviceCall>(
    call: K,
    argument: DeviceCalls[K]['argument'],
    { signal, limitMs, onFraction }: CallOptions,
  ): Promise<DeviceCalls[K]['result']> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    if (signal.aborted) return Promise.reject(abortReason(signal));
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      const end = (): void => {
        this.#pending.delete(id);
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        if (this.#pending.size === 0) this.unref();
      };
      const onAbort = (): void => {
        end();
        this.#send({ kind: 'cancel', id });
        reject(abortReason(signal));
      };
      const timer = setTimeout(() => {
        this.#lose(`it did not answer within ${Math.round(limitMs / 1000)} s`);
        void this.dispose();
      }, limitMs);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#pending.set(id, {
        // The reply to a call holds that call's result: the device's answers are typed by the same table.
        resolve: (result) => {
          end();
          resolve(result);
        },
        reject: (error) => {
          end();
          reject(error);
        },
        onFraction,
      });
      this.child.ref();
      this.child.channel?.ref();
      // The table above ties a call to its argument.
      this.#send({ kind: 'call', id, call, argument } as ToDevice);
    });
  }

  async dispose(): Promise<void> {
    this.#lost ??= new DeviceLost('it was closed');
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    // Its end is waited for.
    this.child.ref();
    await new Promise<void>((resolve) => {
      this.child.once('exit', () => {
        resolve();
      });
      // A process that could not be started has nothing to end.
      if (!this.child.kill('SIGKILL')) resolve();
    });
  }

  #start(
    start: Extract<ToDevice, { kind: 'start' }>['start'],
    signal: AbortSignal,
    limitMs: number,
  ): Promise<Extract<FromDevice, { kind: 'open' }>> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        reject(error);
      };
      const onAbort = (): void => {
        fail(abortReason(signal));
      };
      const timer = setTimeout(() => {
        fail(new DeviceLost(`it did not open within ${Math.round(limitMs / 100) / 10} s`));
      }, limitMs);
      signal.addEventListener('abort', onAbort, { once: true });
      this.child.once('exit', () => {
        fail(this.#lost ?? new DeviceLost('its process ended'));
      });
      this.child.on('message', (message: FromDevice) => {
        if (message.kind === 'open') {
          clearTimeout(timer);
          signal.removeEventListener('abort', onAbort);
          resolve(message);
        } else if (message.kind === 'closed') fail(new DeviceLost(message.message));
        else this.#onReply(message);
      });
      this.#send({ kind: 'start', start });
    });
  }

  #onReply(message: Exclude<FromDevice, { kind: 'open' | 'closed' }>): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    if (message.kind === 'fraction') pending.onFraction?.(message.fraction);
    else if (message.kind === 'result') pending.resolve(message.result);
    else pending.reject(new DeviceLost(message.message));
  }

  #send(message: ToDevice): void {
    if (!this.child.connected) return;
    this.child.send(message, (error) => {
      if (error !== null) this.#lose(`it cannot be reached: ${error.message}`);
    });
  }

  #lose(message: string): void {
    this.#lost ??= new DeviceLost(message);
    for (const { reject } of [...this.#pending.values()]) reject(this.#lost);
  }

  #lastWords(): string {
    const line = this.#output.trim().split('\n').at(-1)?.trim() ?? '';
    return line === '' ? '' : `: ${line.slice(0, 300)}`;
  }

  /** Nothing is asked of it: it keeps nobody alive. */
  private unref(): void {
    this.child.unref();
    this.child.channel?.unref();
    const { stderr } = this.child;
    // A pipe of a child is a socket.
    if (stderr instanceof Socket) stderr.unref();
  }
}

export interface CallOptions {
  readonly signal: AbortSignal;
  readonly limitMs: number;
  readonly onFraction?: ((fraction: number) => void) | undefined;
}
