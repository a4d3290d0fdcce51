/** The export button and its menu, with the keys that menus have. */
import { button } from '../toolkit';
import { element } from './element';
import { icon } from './icons';

export type ExportChoice = 'csv' | 'json' | 'markdown' | 'snapshotPng' | 'spectrumPng';

const CHOICES: readonly { readonly choice: ExportChoice; readonly text: string; readonly whole: boolean }[] =
  [
    { choice: 'csv', text: 'Layers as CSV…', whole: true },
    { choice: 'json', text: 'Audit as JSON…', whole: true },
    { choice: 'markdown', text: 'Report as Markdown…', whole: true },
    { choice: 'snapshotPng', text: 'Utilization Snapshot as PNG…', whole: false },
    { choice: 'spectrumPng', text: 'Spectrum as PNG…', whole: false },
  ];

export class ExportMenu {
  readonly element: HTMLElement;
  private readonly opener: HTMLElement;
  private readonly menu = element('div', {
    class: 'menu',
    attributes: { role: 'menu', 'aria-label': 'Export' },
  });
  private readonly items: readonly { readonly item: HTMLButtonElement; readonly whole: boolean }[];

  constructor(private readonly onChoose: (choice: ExportChoice) => void) {
    const label = document.createDocumentFragment();
    label.append('Export', icon('chevronDown'));
    this.opener = button(label, () => {
      this.toggle(this.menu.hidden === true);
    });
    this.opener.setAttribute('aria-haspopup', 'menu');
    this.items = CHOICES.map(({ choice, text, whole }) => ({ item: this.item(choice, text), whole }));
    this.menu.append(...this.items.map(({ item }) => item));
    this.menu.hidden = true;
    this.element = element('div', { class: 'menu-anchor' }, this.opener, this.menu);
    this.listen();
  }

  /** @param done what the host writes needs the whole document. @param any plots need a layer at least */
  enable(done: boolean, any: boolean): void {
    for (const { item, whole } of this.items) {
      item.disabled = whole ? !done : !any;
      item.title = item.disabled ? 'When the audit is done' : '';
    }
  }

  private item(choice: ExportChoice, text: string): HTMLButtonElement {
    const item = element('button', {
      text,
      attributes: { role: 'menuitem', type: 'button', tabindex: '-1' },
    });
    item.addEventListener('click', () => {
      this.toggle(false);
      this.opener.focus();
      this.onChoose(choice);
    });
    return item;
  }

  private toggle(open: boolean): void {
    this.menu.hidden = !open;
    this.opener.setAttribute('aria-expanded', String(open));
    if (open) this.items.find(({ item }) => !item.disabled)?.item.focus();
  }

  private listen(): void {
    this.opener.setAttribute('aria-expanded', 'false');
    document.addEventListener('pointerdown', (event) => {
      if (event.target instanceof Node && !this.element.contains(event.target)) this.toggle(false);
    });
    this.element.addEventListener('focusout', (event) => {
      const to = event.relatedTarget;
      if (to instanceof Node && !this.element.contains(to)) this.toggle(false);
    });
    this.menu.addEventListener('keydown', (event) => {
      this.handleKey(event);
    });
    this.opener.addEventListener('keydown', (event) => {
      if (event.key !== 'ArrowDown') return;
      event.preventDefault();
      this.toggle(true);
    });
  }

  private handleKey(event: KeyboardEvent): void {
    const items = this.items.flatMap(({ item }) => (item.disabled ? [] : [item]));
    const at = items.findIndex((item) => item === document.activeElement);
    const targets: Readonly<Record<string, number>> = {
      ArrowDown: (at + 1) % items.length,
      ArrowUp: (at - 1 + items.length) % items.length,
      Home: 0,
      End: items.length - 1,
    };
    const target = targets[event.key];
    if (target !== undefined) items[target]?.focus();
    else if (event.key === 'Escape') {
      this.toggle(false);
      this.opener.focus();
    } else return;
    event.preventDefault();
  }
}
