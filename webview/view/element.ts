/** Elements in one expression. Text only ever becomes a text node: no string is read as HTML anywhere in the page. */

export interface Attributes {
  readonly class?: string;
  readonly text?: string;
  readonly title?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  look: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (look.class !== undefined) made.className = look.class;
  if (look.text !== undefined) made.textContent = look.text;
  if (look.title !== undefined) made.title = look.title;
  for (const [name, value] of Object.entries(look.attributes ?? {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Writes only what differs: a write of the same text still costs a layout. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

export function setAttribute(target: Element, name: string, value: string | undefined): void {
  if (value === undefined) target.removeAttribute(name);
  else if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}
