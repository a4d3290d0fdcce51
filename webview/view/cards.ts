/** The summary: four statements, each a button that shows the layers it is about. */
import type { Card, CardAction } from '../model/summary';
import { element, setAttribute, setText } from './element';
import { nameTitle, shortNameText } from './nameText';

export class Cards {
  readonly element = element('section', { class: 'cards', attributes: { 'aria-label': 'Summary' } });
  private readonly cards: readonly CardView[];

  constructor(onAction: (action: CardAction) => void) {
    this.cards = Array.from({ length: 4 }, () => new CardView(onAction));
    this.element.append(...this.cards.map(({ element: card }) => card));
  }

  render(cards: readonly Card[]): void {
    this.cards.forEach((view, i) => {
      const card = cards[i];
      if (card !== undefined) view.render(card);
    });
  }
}

class CardView {
  readonly element = element('button', { class: 'card', attributes: { type: 'button' } });
  private readonly title = element('span', { class: 'card-title' });
  private readonly value = element('span', { class: 'card-value' });
  private readonly detail = element('span', { class: 'card-detail' });
  private action: CardAction | undefined;

  constructor(onAction: (action: CardAction) => void) {
    this.element.append(this.title, this.value, this.detail);
    this.element.addEventListener('click', () => {
      if (this.action !== undefined) onAction(this.action);
    });
  }

  render({ title, value, detail, action }: Card): void {
    this.action = action;
    this.element.disabled = action === undefined;
    const says = action?.says ?? '';
    setAttribute(this.element, 'title', 'name' in value ? `${nameTitle(value.name)}\n${says}` : says);
    setText(this.title, title);
    setText(this.detail, detail);
    const text = 'name' in value ? nameTitle(value.name) : value.text;
    this.value.classList.toggle('is-name', 'name' in value);
    if (this.value.textContent === text) return;
    this.value.replaceChildren('name' in value ? shortNameText(value.name) : value.text);
  }
}
