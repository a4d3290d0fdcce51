import { element } from './element';

/** A few exclusive choices side by side, each a toggle button. */
export class Segmented<T extends string> {
  readonly element: HTMLElement;
  private readonly buttons: readonly { readonly value: T; readonly button: HTMLButtonElement }[];

  constructor(
    label: string,
    choices: readonly { readonly value: T; readonly text: string; readonly title: string }[],
    onChoose: (value: T) => void,
  ) {
    this.buttons = choices.map(({ value, text, title }) => {
      const button = element('button', { text, title, attributes: { type: 'button' } });
      button.addEventListener('click', () => {
        onChoose(value);
      });
      return { value, button };
    });
    this.element = element(
      'div',
      { class: 'segmented', attributes: { role: 'group', 'aria-label': label } },
      ...this.buttons.map(({ button }) => button),
    );
  }

  set(chosen: T): void {
    for (const { value, button } of this.buttons)
      button.setAttribute('aria-pressed', String(value === chosen));
  }
}
