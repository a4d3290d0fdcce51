/** Before there is a run: what can be done, and what is missing for it. */
import { button } from '../../toolkit';
import { element } from '../../view/element';
import type { TrainingState } from '../model/state';

export interface EmptyActions {
  readonly train: () => void;
  readonly compare: () => void;
  readonly openRecipe: () => void;
  readonly manageTrust: () => void;
}

export class EmptyView {
  readonly element = element('section', { class: 'empty', attributes: { 'aria-label': 'No runs yet' } });
  private shown: string | undefined;

  constructor(private readonly actions: EmptyActions) {}

  render({ look, trusted }: TrainingState): void {
    const shown = JSON.stringify([look?.trains, look?.script, trusted]);
    if (this.shown === shown) return;
    this.shown = shown;
    const [title, words, ...buttons] = this.contents(look?.trains ?? true, look?.script ?? false, trusted);
    this.element.replaceChildren(
      element('h2', { text: title }),
      element('p', { text: words }),
      element('div', { class: 'empty-actions' }, ...buttons),
    );
  }

  private contents(trains: boolean, script: boolean, trusted: boolean): [string, string, ...HTMLElement[]] {
    const { train, compare, openRecipe, manageTrust } = this.actions;
    if (!trusted)
      return [
        'This workspace is not trusted',
        'Training writes files and, for recipes with a script, runs programs that the workspace names. It starts once you trust the authors of this workspace.',
        button('Manage Workspace Trust', manageTrust, { appearance: 'primary' }),
      ];
    if (!trains)
      return [
        'The recipe does not say how to train',
        'Add a “training” section: the editor completes its fields and says what each means.',
        button('Open Recipe', openRecipe, { appearance: 'primary' }),
      ];
    const start = button('Train', train, { appearance: 'primary' });
    return [
      'No runs yet',
      'A run goes on when this panel, the window or the editor is closed; it is found again here.',
      start,
      ...(script ? [] : [button('Compare Forms', compare)]),
      button('Open Recipe', openRecipe),
    ];
  }
}
