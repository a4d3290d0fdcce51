/** Tensor names on the page: isolated from the text around them, escaped, cut in the middle, whole in the tooltip. */
import { printable, splitForEllipsis } from '../model/names';
import { element } from './element';

/** Names beyond this are cut even in a tooltip: a file may hold a name of megabytes. */
const MAX_TITLE = 2000;

/** The head gives way with an ellipsis where room is short; the last keys, which tell layers apart, stay. */
export function nameText(name: string): HTMLElement {
  const shown = nameTitle(name);
  const [head, tail] = splitForEllipsis(shown);
  return element(
    'bdi',
    { class: 'name', title: shown },
    ...(head === '' ? [] : [element('span', { class: 'name-head', text: head })]),
    element('span', { class: 'name-tail', text: tail }),
  );
}

export function nameTitle(name: string): string {
  return printable(name.length > MAX_TITLE ? `${name.slice(0, MAX_TITLE)}…` : name);
}
