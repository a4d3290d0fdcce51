import { element, setAttribute, setText } from './element';

interface Tab<T> {
  readonly value: T;
  readonly panel: HTMLElement;
}

/** Tabs as VS Code's panel has them: one stop of the tab key, arrows between them. */
export class Tabs<T extends string> {
  readonly list = element('div', { class: 'tabs', attributes: { role: 'tablist' } });
  readonly panels: readonly HTMLElement[];
  private readonly tabs: readonly {
    readonly value: T;
    readonly tab: HTMLButtonElement;
    readonly panel: HTMLElement;
  }[];

  constructor(
    tabs: readonly Tab<T>[],
    private readonly onChoose: (value: T) => void,
  ) {
    this.tabs = tabs.map(({ value, panel }) => this.tab(value, panel));
    this.panels = this.tabs.map(({ panel }) => panel);
    this.list.append(...this.tabs.map(({ tab }) => tab));
    this.list.addEventListener('keydown', (event) => {
      const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
      const at = this.tabs.findIndex(({ tab }) => tab === document.activeElement);
      const next = this.tabs[at + step];
      if (step === 0 || at < 0 || next === undefined) return;
      event.preventDefault();
      next.tab.focus();
      onChoose(next.value);
    });
  }

  set(chosen: T, texts: Readonly<Record<T, string>>): void {
    for (const { value, tab, panel } of this.tabs) {
      setText(tab, texts[value]);
      setAttribute(tab, 'aria-selected', String(value === chosen));
      tab.tabIndex = value === chosen ? 0 : -1;
      panel.hidden = value !== chosen;
    }
  }

  private tab(value: T, content: HTMLElement) {
    const ids = { tab: `tab-${value}`, panel: `panel-${value}` };
    const tab = element('button', {
      class: 'tab',
      attributes: { type: 'button', role: 'tab', id: ids.tab, 'aria-controls': ids.panel },
    });
    tab.addEventListener('click', () => {
      this.onChoose(value);
    });
    const attributes = { role: 'tabpanel', id: ids.panel, 'aria-labelledby': ids.tab };
    return { value, tab, panel: element('div', { class: 'tab-panel', attributes }, content) };
  }
}
