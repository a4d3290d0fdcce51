import type { Readable, Writable } from 'node:stream';
import {
  CancellationTokenSource,
  createMessageConnection,
  NotificationType,
  ParameterStructures,
  RequestType,
  ResponseError,
  StreamMessageReader,
  StreamMessageWriter,
  type Disposable,
  type Message,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import type { EngineNotifications, EngineRequests, HostNotifications } from './protocol';

/** The other end cancelled the request: the code that the Language Server Protocol gave it. */
export const REQUEST_CANCELLED = -32800;

/** A job failed; its message is one line for people. */
export const JOB_FAILED = 1;

/** The engine's answer to a request was an error. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  constructor(
    message: string,
    readonly cancelled: boolean,
  ) {
    super(message);
  }
}

type Params<K extends keyof EngineRequests> = EngineRequests[K]['params'];
type Result<K extends keyof EngineRequests> = EngineRequests[K]['result'];

// Parameters by name: an object is sent as it is.
function requestType<K extends keyof EngineRequests>(method: K): RequestType<Params<K>, Result<K>, void> {
  return new RequestType(method, ParameterStructures.byName);
}

function notificationType<T>(method: string): NotificationType<T> {
  return new NotificationType(method, ParameterStructures.byName);
}

/** The host's end: asks, and hears of what goes on. */
export class HostEnd {
  private readonly connection: MessageConnection;

  /** @param onFailure told of a broken stream; the request under way is answered by `dispose`. */
  constructor(input: Readable, output: Writable, onFailure: (message: string) => void) {
    this.connection = connectionOver(input, output, onFailure);
  }

  /**
   * @throws {EngineError} with the engine's one-line message, or `cancelled` after the signal was aborted.
   * @throws {EngineError} when the connection is disposed before the answer.
   */
  async request<K extends keyof EngineRequests>(
    method: K,
    params: Params<K>,
    signal?: AbortSignal,
  ): Promise<Result<K>> {
    const source = new CancellationTokenSource();
    const onAbort = (): void => {
      source.cancel();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) source.cancel();
    try {
      return await this.connection.sendRequest(requestType(method), params, source.token);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new EngineError(message, error instanceof ResponseError && error.code === REQUEST_CANCELLED);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      source.dispose();
    }
  }

  notify<K extends keyof HostNotifications>(name: K, params: HostNotifications[K]): void {
    // A broken stream is told by onFailure; nothing else can be done about a notification.
    this.connection.sendNotification(notificationType<HostNotifications[K]>(name), params).catch(ignore);
  }

  on<K extends keyof EngineNotifications>(
    name: K,
    handler: (params: EngineNotifications[K]) => void,
  ): Disposable {
    return this.connection.onNotification(notificationType<EngineNotifications[K]>(name), handler);
  }

  listen(): void {
    this.connection.listen();
  }

  /** Rejects every request under way. */
  dispose(): void {
    this.connection.dispose();
  }
}

/** The engine's end: answers, and tells of what goes on. */
export class EngineEnd {
  private readonly connection: MessageConnection;

  constructor(input: Readable, output: Writable, onFailure: (message: string) => void) {
    this.connection = connectionOver(input, output, onFailure);
  }

  /** @param handler rejects with what becomes the error's one-line message; its signal is the host's cancellation. */
  serve<K extends keyof EngineRequests>(
    method: K,
    handler: (params: Params<K>, signal: AbortSignal) => Promise<Result<K>>,
  ): void {
    this.connection.onRequest(requestType(method), async (params, token) => {
      const controller = new AbortController();
      const listening = token.onCancellationRequested(() => {
        controller.abort(new Error('cancelled'));
      });
      try {
        return await handler(params, controller.signal);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        return new ResponseError<void>(
          controller.signal.aborted ? REQUEST_CANCELLED : JOB_FAILED,
          message.split('\n', 1)[0] ?? message,
        );
      } finally {
        listening.dispose();
      }
    });
  }

  on<K extends keyof HostNotifications>(name: K, handler: (params: HostNotifications[K]) => void): void {
    this.connection.onNotification(notificationType<HostNotifications[K]>(name), handler);
  }

  notify<K extends keyof EngineNotifications>(name: K, params: EngineNotifications[K]): void {
    this.connection.sendNotification(notificationType<EngineNotifications[K]>(name), params).catch(ignore);
  }

  listen(): void {
    this.connection.listen();
  }
}

function connectionOver(
  input: Readable,
  output: Writable,
  onFailure: (message: string) => void,
): MessageConnection {
  const connection = createMessageConnection(
    new StreamMessageReader(input),
    new StreamMessageWriter(output),
    // Every failure comes through onError; the default logger would write to the console.
    { error: ignore, warn: ignore, info: ignore, log: ignore },
  );
  connection.onError(([error]: [Error, Message | undefined, number | undefined]) => {
    onFailure(error.message);
  });
  return connection;
}

function ignore(): void {
  // Deliberately nothing.
}
