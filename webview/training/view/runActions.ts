/** What can be done with the runs that are selected in the table. */
import { counted } from '../../model/numbers';
import { printable } from '../../model/names';
import { statefulButton, type ButtonControl } from '../../toolkit';
import { element, setText } from '../../view/element';
import { isLive, isResumable } from '../model/state';
import { reasonOf } from '../model/words';
import type { RunAction, RunSummary } from '../protocol';

interface Offer {
  readonly action: RunAction;
  readonly text: string;
  readonly title: string;
  /** For one run at a time. */
  readonly single: boolean;
  readonly applies: (run: RunSummary) => boolean;
}

const OFFERS: readonly Offer[] = [
  {
    ...{ action: 'stop', text: 'Stop', single: false },
    title: 'Ask to stop, keeping a checkpoint',
    applies: ({ status }) => isLive(status.state) && status.state !== 'stopping',
  },
  {
    ...{ action: 'resume', text: 'Resume', single: false },
    title: 'Go on from the checkpoint',
    applies: isResumable,
  },
  {
    ...{ action: 'openAudit', text: 'Audit', single: true },
    title: 'The rank audit of what was trained',
    applies: ({ files }) => files.model,
  },
  {
    ...{ action: 'openLog', text: 'Log', single: true },
    title: 'What the run printed',
    applies: ({ files }) => files.log,
  },
  {
    ...{ action: 'reveal', text: 'Reveal', single: true },
    title: 'Show the run’s folder',
    applies: () => true,
  },
  {
    ...{ action: 'delete', text: 'Delete…', single: false },
    title: 'Delete the folders of runs that are over',
    applies: ({ status }) => !isLive(status.state),
  },
];

export class RunActions {
  readonly element: HTMLElement;
  private readonly buttons: readonly { readonly offer: Offer; readonly control: ButtonControl }[];
  private readonly words = element('span', { class: 'table-summary' });
  private selected: readonly RunSummary[] = [];

  constructor(act: (action: RunAction, folders: readonly string[]) => void) {
    this.buttons = OFFERS.map((offer) => ({
      offer,
      control: statefulButton(offer.text, () => {
        const folders = this.selected.filter(offer.applies).map(({ folder }) => folder);
        if (folders.length > 0) act(offer.action, folders);
      }),
    }));
    this.element = element(
      'div',
      { class: 'run-actions', attributes: { role: 'toolbar', 'aria-label': 'Selected runs' } },
      this.words,
      ...this.buttons.map(({ control }) => control.element),
    );
  }

  /** @param selected those that are; of a recipe with a single run that one, without being selected */
  render(selected: readonly RunSummary[], total: number): void {
    this.selected = selected;
    const [only] = selected;
    for (const { offer, control } of this.buttons) {
      const applying = selected.filter(offer.applies).length;
      control.element.hidden = selected.length === 0;
      control.set({
        disabled: applying === 0 || (offer.single && selected.length > 1),
        title: offer.title,
      });
    }
    setText(this.words, wordsOf(selected, only, total));
  }
}

function wordsOf(selected: readonly RunSummary[], only: RunSummary | undefined, total: number): string {
  if (only === undefined)
    return total === 0 ? '' : 'Select runs to see them on the chart; Ctrl or Shift adds more.';
  if (selected.length > 1) return `${counted(selected.length, 'run')} selected`;
  const reason = reasonOf(only);
  return printable(reason === '' ? only.record.label : `${only.record.label}: ${reason}`);
}
