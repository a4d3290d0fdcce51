/** The box beside the pointer over a plot. Its words are also in the plot's `aria-valuetext`, for those without one. */
import { element } from './element';
import { nameText, shortNameText } from './nameText';

export interface HoverLine {
  readonly label: string;
  readonly value: string;
  /** Colour of the swatch before it. */
  readonly colour?: string;
  /** The label is a tensor's name. */
  readonly isName?: boolean;
}

export interface HoverContent {
  readonly title: { readonly name: string } | { readonly text: string };
  readonly lines: readonly HoverLine[];
}

/** Distance from the pointer, and from the window's edge, in CSS pixels. */
const GAP = 12;

export class HoverCard {
  readonly element = element('div', { class: 'hover-card', attributes: { 'aria-hidden': 'true' } });

  constructor() {
    this.element.hidden = true;
  }

  /** @param x, y of the pointer in the window */
  show({ title, lines }: HoverContent, x: number, y: number): void {
    this.element.replaceChildren(
      element('div', { class: 'hover-title' }, 'name' in title ? nameText(title.name) : title.text),
      element('div', { class: 'hover-lines' }, ...lines.flatMap(line)),
    );
    this.element.hidden = false;
    const { offsetWidth, offsetHeight } = this.element;
    const right = x + GAP + offsetWidth <= window.innerWidth - GAP;
    const left = right ? x + GAP : Math.max(GAP, x - GAP - offsetWidth);
    const top = Math.max(GAP, Math.min(y + GAP, window.innerHeight - GAP - offsetHeight));
    this.element.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  hide(): void {
    this.element.hidden = true;
  }
}

function line({ label, value, colour, isName }: HoverLine): HTMLElement[] {
  const swatch = element('span', { class: 'swatch' });
  if (colour !== undefined) swatch.style.background = colour;
  const text = isName === true ? shortNameText(label) : element('span', { text: label });
  return [
    element('span', { class: 'hover-label' }, ...(colour === undefined ? [] : [swatch]), text),
    element('span', { class: 'hover-value', text: value }),
  ];
}
