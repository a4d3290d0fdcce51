/** What went wrong, what should be known, and what a screen reader hears. */
import { button } from '../toolkit';
import { element, setText } from './element';
import { icon } from './icons';
import { nameTitle } from './nameText';

export interface MessageActions {
  readonly retry: () => void;
  readonly openLog: () => void;
  readonly dismiss: (notice: string) => void;
}

/** What there is to say. */
export interface Said {
  readonly failure?: string;
  readonly notices: readonly string[];
  /** Remarks of the checkpoint's reader. */
  readonly notes: readonly string[];
}

export class Messages {
  readonly element = element('div', { class: 'messages' });
  private shown: readonly string[] | undefined;

  /** @param failed the sentence before a failure's reason. */
  constructor(
    private readonly failed: string,
    private readonly actions: MessageActions,
  ) {}

  render({ failure: reason, notices, notes }: Said): void {
    const failure = reason === undefined ? [] : [reason];
    const shown = [...failure, '\u0000', ...notices, '\u0000', ...notes];
    if (this.shown !== undefined && sameList(shown, this.shown)) return;
    this.shown = shown;
    this.element.replaceChildren(
      ...failure.map((message) => this.failure(message)),
      ...notices.map((notice) => this.notice(notice)),
      ...notes.map(note),
    );
  }

  private failure(message: string): HTMLElement {
    return element(
      'div',
      { class: 'message failure', attributes: { role: 'alert' } },
      icon('error'),
      element(
        'div',
        { class: 'message-text' },
        element('strong', { text: `${this.failed} ` }),
        element('bdi', { text: nameTitle(message) }),
      ),
      element(
        'div',
        { class: 'message-actions' },
        button('Retry', this.actions.retry, { appearance: 'primary' }),
        button('Show Log', this.actions.openLog),
      ),
    );
  }

  private notice(notice: string): HTMLElement {
    const dismiss = button(
      icon('close'),
      () => {
        this.actions.dismiss(notice);
      },
      { appearance: 'icon', label: 'Dismiss' },
    );
    return element(
      'div',
      { class: 'message notice', attributes: { role: 'status' } },
      icon('info'),
      element('bdi', { class: 'message-text', text: nameTitle(notice) }),
      dismiss,
    );
  }
}

function note(text: string): HTMLElement {
  return element(
    'div',
    { class: 'message note' },
    icon('info'),
    element('bdi', { class: 'message-text', text: nameTitle(text) }),
  );
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}

/** How long what happened stays in sight, in milliseconds. */
const TOAST_TIME = 4000;

/** Says what happened: shown for a moment, and read out. */
export class Announcer {
  readonly element = element('div', { class: 'toast', attributes: { role: 'status' } });
  private timer: number | undefined;

  say(text: string): void {
    setText(this.element, text);
    this.element.classList.add('visible');
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.element.classList.remove('visible');
    }, TOAST_TIME);
  }

  /** For ears only: what eyes see anyway. */
  tell(text: string): void {
    if (!this.element.classList.contains('visible')) setText(this.element, text);
  }
}
