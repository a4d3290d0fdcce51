/** The line to the extension host: messages out, messages in, and replies matched with what asked for them. */
import type { KeptState } from './protocol';

interface VsCodeApi {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}

/** VS Code gives it to every webview, once. */
declare function acquireVsCodeApi(): VsCodeApi;

interface Message {
  readonly type: string;
}

interface ReplyMessage extends Message {
  readonly type: 'reply';
  readonly request: number;
}

/** The reply of a protocol, by its messages to the page. */
export type ReplyOf<To extends Message> = Extract<To, ReplyMessage>;
type RequestOf<From extends Message> = Extract<From, { readonly request: number }>;
/** A message that wants an answer, before it has its number. */
export type Asked<From extends Message> =
  RequestOf<From> extends infer R ? (R extends RequestOf<From> ? Omit<R, 'request'> : never) : never;

/** @typeParam From messages of the page. @typeParam To messages of the host. */
export class Connection<From extends Message, To extends Message> {
  private readonly api = acquireVsCodeApi();
  private readonly waiting = new Map<number, (reply: ReplyOf<To>) => void>();
  private lastRequest = 0;

  constructor() {
    const { storedState } = this;
    this.store(typeof storedState === 'object' && storedState !== null ? storedState : {});
  }

  listen(receive: (message: Exclude<To, ReplyMessage>) => void): void {
    window.addEventListener('message', (event: MessageEvent<unknown>) => {
      const { data } = event;
      if (!isMessage(data)) return;
      // The host's end of the same protocol posts nothing else.
      const message = data as To;
      if (isReply<To>(message)) this.settle(message);
      else receive(message as Exclude<To, ReplyMessage>);
    });
  }

  send(message: From): void {
    this.api.postMessage(message);
  }

  /** Resolves when the host answers; a person may take minutes over a dialog, so there is no time limit. */
  ask(asked: Asked<From>): Promise<ReplyOf<To>> {
    const request = ++this.lastRequest;
    return new Promise((resolve) => {
      this.waiting.set(request, resolve);
      this.api.postMessage({ ...asked, request });
    });
  }

  get storedState(): unknown {
    return this.api.getState();
  }

  /** The host finds the panel's resource again by what is kept beside the page's own state. */
  store(state: object): void {
    const kept: KeptState = { resource: document.body.dataset.resource ?? '' };
    this.api.setState({ ...state, ...kept });
  }

  private settle(reply: ReplyOf<To>): void {
    this.waiting.get(reply.request)?.(reply);
    this.waiting.delete(reply.request);
  }
}

/** Other messages reach a page too (a developer tool's, an extension's of the browser). */
function isMessage(data: unknown): data is Message {
  return typeof data === 'object' && data !== null && 'type' in data && typeof data.type === 'string';
}

function isReply<To extends Message>(message: To): message is ReplyOf<To> {
  return message.type === 'reply';
}
