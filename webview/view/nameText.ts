/** Tensor names on the page: isolated from the text around them, escaped, cut in the middle, whole in the tooltip. */
import { printable, splitForEllipsis } from '../model/names';
import { element } from './element';

/** Names beyond this are cut even in a tooltip: a file may hold a name of megabytes. */
const MAX_TITLE = 2000;

/** Length of what all layers' names start with: one file a page, so one prefix. */
let prefixLength = 0;

/** From now on names show the keys that all of them share only where there is room to spare. */
export function setSharedPrefix(length: number): void {
  prefixLength = length;
}

/** The shared keys give way first, then the head, with an ellipsis where room is short; the last keys, which tell layers apart, stay. */
export function nameText(name: string): HTMLElement {
  const prefix = nameTitle(name.slice(0, prefixLength));
  const [head, tail] = splitForEllipsis(nameTitle(name.slice(prefixLength)));
  return element(
    'bdi',
    { class: 'name', title: nameTitle(name) },
    ...(prefix === '' ? [] : [element('span', { class: 'name-prefix', text: prefix })]),
    ...(head === '' ? [] : [element('span', { class: 'name-head', text: head })]),
    element('span', { class: 'name-tail', text: tail }),
  );
}

export function nameTitle(name: string): string {
  return printable(name.length > MAX_TITLE ? `${name.slice(0, MAX_TITLE)}…` : name);
}
