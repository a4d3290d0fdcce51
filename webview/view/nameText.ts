/** Tensor names on the page: isolated from the text around them, escaped, cut in the middle, whole in the tooltip. */
import { printable, splitForEllipsis } from '../model/names';
import { element } from './element';

/** Names beyond this are cut even in a tooltip: a file may hold a name of megabytes. */
const MAX_TITLE = 2000;

/** Length of what all layers' names start with: one file a page, so one prefix. */
let prefixLength = 0;

/** A shorter prefix costs less room than the mark that stands for it would confuse. */
const MIN_PREFIX = 6;

/** From now on short names leave out the keys that all layers share. */
export function setSharedPrefix(length: number): void {
  prefixLength = length < MIN_PREFIX ? 0 : length;
}

/** The whole name; where room is short its head gives way, and the last keys, which tell layers apart, stay. */
export function nameText(name: string): HTMLElement {
  return isolated(name, '', nameTitle(name));
}

/** Without the keys that all layers share; they are in the tooltip. */
export function shortNameText(name: string): HTMLElement {
  return prefixLength === 0 ? nameText(name) : isolated(name, '…', nameTitle(name.slice(prefixLength)));
}

/** Characters of a short name. */
export function shortNameLength(name: string): number {
  return nameTitle(name.slice(prefixLength)).length + (prefixLength === 0 ? 0 : 1);
}

function isolated(name: string, mark: string, shown: string): HTMLElement {
  const [head, tail] = splitForEllipsis(shown);
  const parts = [
    ['name-mark', mark],
    ['name-head', head],
    ['name-tail', tail],
  ] as const;
  return element(
    'bdi',
    { class: 'name', title: nameTitle(name) },
    ...parts.flatMap(([kind, text]) => (text === '' ? [] : [element('span', { class: kind, text })])),
  );
}

export function nameTitle(name: string): string {
  return printable(name.length > MAX_TITLE ? `${name.slice(0, MAX_TITLE)}…` : name);
}
