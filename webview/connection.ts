/** The line to the extension host: messages out, messages in, and replies matched with what asked for them. */
import type { FromPanel, KeptState, ToPanel } from './protocol';

interface VsCodeApi {
  postMessage(message: FromPanel): void;
  getState(): unknown;
  setState(state: unknown): void;
}

/** VS Code gives it to every webview, once. */
declare function acquireVsCodeApi(): VsCodeApi;

export type Reply = Extract<ToPanel, { type: 'reply' }>;
type Request = Extract<FromPanel, { request: number }>;
/** A message that wants an answer, before it has its number. */
export type Asked = Request extends infer R ? (R extends Request ? Omit<R, 'request'> : never) : never;

export class Connection {
  private readonly api = acquireVsCodeApi();
  private readonly waiting = new Map<number, (reply: Reply) => void>();
  private lastRequest = 0;

  constructor() {
    const { storedState } = this;
    this.store(typeof storedState === 'object' && storedState !== null ? storedState : {});
  }

  listen(receive: (message: ToPanel) => void): void {
    window.addEventListener('message', (event: MessageEvent<unknown>) => {
      const { data } = event;
      if (!isMessage(data)) return;
      if (data.type === 'reply') this.settle(data);
      else receive(data);
    });
  }

  send(message: FromPanel): void {
    this.api.postMessage(message);
  }

  /** Resolves when the host answers; a person may take minutes over a dialog, so there is no time limit. */
  ask(asked: Asked): Promise<Reply> {
    const request = ++this.lastRequest;
    return new Promise((resolve) => {
      this.waiting.set(request, resolve);
      this.send({ ...asked, request });
    });
  }

  get storedState(): unknown {
    return this.api.getState();
  }

  /** The host finds the panel's folder again by what is kept beside the page's own state. */
  store(state: object): void {
    const kept: KeptState = { resource: document.body.dataset.resource ?? '' };
    this.api.setState({ ...state, ...kept });
  }

  private settle(reply: Reply): void {
    this.waiting.get(reply.request)?.(reply);
    this.waiting.delete(reply.request);
  }
}

/** Other messages reach a page too (a developer tool's, an extension's of the browser). */
function isMessage(data: unknown): data is ToPanel {
  return typeof data === 'object' && data !== null && 'type' in data && typeof data.type === 'string';
}
