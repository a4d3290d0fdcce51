/** What a conversion came to: statements, ledger, and the files with what can be done with them. */
import type { ConversionDocument } from '../../../src/engine/conversionDocument';
import { baseName } from '../../model/names';
import { button } from '../../toolkit';
import { element, setText } from '../../view/element';
import { nameTitle } from '../../view/nameText';
import { ledger, statements } from '../model/summary';
import type { WrittenFile } from '../protocol';

export interface ResultActions {
  readonly reveal: (file: WrittenFile) => void;
  readonly open: (file: WrittenFile) => void;
  readonly copyPython: () => void;
}

interface FileWords {
  readonly what: string;
  /** Of the button that opens it; absent where there is nothing to look at. */
  readonly open: string;
}

const FILES: Readonly<Record<WrittenFile, FileWords>> = {
  factors: { what: 'U and V of the converted layers; everything else as it was', open: 'Audit' },
  materialized: { what: 'dense, for any tool that loads the original', open: 'Audit' },
  document: { what: 'what was done, layer by layer', open: 'Open' },
  loader: { what: 'loads the factors into PyTorch', open: 'Open' },
};

const ORDER: readonly WrittenFile[] = ['factors', 'materialized', 'loader', 'document'];

export class ResultView {
  readonly element: HTMLElement;
  private readonly cards: readonly {
    readonly title: Element;
    readonly value: Element;
    readonly detail: Element;
  }[];
  private readonly ledger = element('tbody');
  private readonly files = element('ul', { class: 'files' });
  private shown: ConversionDocument | undefined;

  constructor(private readonly actions: ResultActions) {
    const cards = Array.from({ length: 4 }, () => {
      const title = element('span', { class: 'card-title' });
      const value = element('span', { class: 'card-value' });
      const detail = element('span', { class: 'card-detail' });
      return { title, value, detail, card: element('div', { class: 'card' }, title, value, detail) };
    });
    this.cards = cards;
    this.element = element(
      'div',
      { class: 'outcome' },
      element(
        'section',
        { class: 'cards', attributes: { 'aria-label': 'Result' } },
        ...cards.map(({ card }) => card),
      ),
      element('div', { class: 'plots' }, this.filesSection(), this.ledgerSection()),
    );
  }

  render(document: ConversionDocument | undefined): void {
    this.element.hidden = document === undefined;
    if (document === undefined || document === this.shown) return;
    this.shown = document;
    statements(document).forEach((statement, i) => {
      const card = this.cards[i];
      if (card === undefined) return;
      setText(card.title, statement.title);
      setText(card.value, statement.value);
      setText(card.detail, statement.detail);
    });
    this.ledger.replaceChildren(
      ...ledger(document).map(({ what, description, before, after, ratio }) =>
        element(
          'tr',
          {},
          element('th', { text: what, title: description, attributes: { scope: 'row' } }),
          ...[before, after, ratio ?? '–'].map((text) => element('td', { text })),
        ),
      ),
    );
    this.files.replaceChildren(
      ...ORDER.flatMap((file) => {
        const path = document.files[file];
        return path === undefined ? [] : [this.file(file, path)];
      }),
    );
  }

  private file(file: WrittenFile, path: string): HTMLElement {
    const { what, open } = FILES[file];
    const name = nameTitle(baseName(path));
    return element(
      'li',
      {},
      element(
        'span',
        { class: 'file-words' },
        element('bdi', { class: 'file-name', text: name, title: nameTitle(path) }),
        element('span', { class: 'file-what', text: what }),
      ),
      element(
        'span',
        { class: 'file-actions' },
        this.action(open, `${open} ${name}`, () => {
          this.actions.open(file);
        }),
        this.action('Reveal', `Reveal ${name}`, () => {
          this.actions.reveal(file);
        }),
      ),
    );
  }

  private action(text: string, label: string, act: () => void): HTMLElement {
    const made = element('button', {
      class: 'link',
      text,
      attributes: { type: 'button', 'aria-label': label },
    });
    made.addEventListener('click', act);
    return made;
  }

  private filesSection(): HTMLElement {
    const copy = button('Copy Python to Load It', this.actions.copyPython);
    return element(
      'section',
      { class: 'plot', attributes: { 'aria-label': 'Files' } },
      element('div', { class: 'plot-head' }, element('h2', { text: 'Files' }), copy),
      this.files,
    );
  }

  private ledgerSection(): HTMLElement {
    const head = ['', 'Before', 'After', 'Ratio'].map((text) =>
      text === '' ? element('td') : element('th', { text, attributes: { scope: 'col' } }),
    );
    return element(
      'section',
      { class: 'plot', attributes: { 'aria-label': 'Ledger' } },
      element('div', { class: 'plot-head' }, element('h2', { text: 'Ledger' })),
      element('table', { class: 'ledger' }, element('thead', {}, element('tr', {}, ...head)), this.ledger),
      element('p', {
        class: 'explorer-words',
        text: 'The sine of every entry is needed: the dense matrix is made once a pass and multiplies as before.',
      }),
    );
  }
}
