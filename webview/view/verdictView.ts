/** Whether a file may be loaded elsewhere, in one line; what that rests on unfolds. */
import { verdictLine, type VerdictItem } from '../model/verdict';
import type { VerdictShown } from '../protocol';
import { element } from './element';
import { icon } from './icons';
import { nameTitle } from './nameText';

const ICONS = { safe: 'shield', unknown: 'info', suspicious: 'warning', dangerous: 'error' } as const;

export class VerdictView {
  readonly element = element('div', { class: 'verdict-place' });
  private shown: VerdictShown | undefined;

  render(verdict: VerdictShown | undefined): void {
    if (verdict === this.shown) return;
    this.shown = verdict;
    this.element.replaceChildren(...(verdict === undefined ? [] : [unfolding(verdict)]));
  }
}

function unfolding(verdict: VerdictShown): HTMLElement {
  const { level, head, reason, meaning, items, notes } = verdictLine(verdict);
  const summary = element(
    'summary',
    {},
    icon(ICONS[level]),
    element('strong', { text: head }),
    element('bdi', { class: 'verdict-reason', text: nameTitle(reason) }),
  );
  const list = element('ul', {}, ...items.map(row));
  return element(
    'details',
    { class: `verdict ${level}` },
    summary,
    element('p', { text: meaning }),
    ...(items.length > 0 ? [list] : []),
    ...notes.map((note) => element('p', {}, element('bdi', { text: nameTitle(note) }))),
  );
}

function row({ mark, level, text, place }: VerdictItem): HTMLElement {
  return element(
    'li',
    { class: level },
    element('span', { class: 'verdict-mark', text: mark }),
    element('bdi', { text: nameTitle(text) }),
    ...(place === '' ? [] : [element('bdi', { class: 'verdict-at', text: nameTitle(place) })]),
  );
}
