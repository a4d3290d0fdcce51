/** The top of the page: which checkpoint, how far its conversion is, and how to stop it. */
import { baseName } from '../../model/names';
import { count, counted, seconds } from '../../model/numbers';
import { button } from '../../toolkit';
import { element, setAttribute, setText } from '../../view/element';
import { backendFacts, checkpointFacts, pathOf, ProgressBar, timeLeft } from '../../view/headerParts';
import { nameTitle } from '../../view/nameText';
import { ranksInWords } from '../model/form';
import { isBusy, type ConversionState } from '../model/state';

export class ConversionHeader {
  readonly element: HTMLElement;
  private readonly facts = element('p', { class: 'facts' });
  private readonly status = element('span', { class: 'progress-text' });
  private readonly progress = new ProgressBar('Conversion progress');
  private readonly cancel: HTMLElement;

  /** @param resource URI of the checkpoint. */
  constructor(resource: string, onCancel: () => void) {
    const path = pathOf(resource);
    const name = element('bdi', { text: nameTitle(baseName(path)) });
    const title = element('h1', { title: nameTitle(path) }, 'Convert ', name);
    this.cancel = button('Cancel', onCancel);
    this.element = element(
      'header',
      { class: 'page-header' },
      this.progress.element,
      element('div', { class: 'model' }, title, this.facts),
      element('div', { class: 'actions' }, this.status, this.cancel),
    );
  }

  render(state: ConversionState): void {
    this.renderFacts(state);
    const { phase, progress, layers, names } = state;
    this.progress.render(isBusy(state), phase.kind === 'running' ? progress?.fraction : undefined);
    this.cancel.hidden = !isBusy(state);
    const total = counted(progress?.total ?? names.length, 'layer');
    const finished = count(Math.max(layers.size, progress?.done ?? 0));
    const words =
      phase.kind === 'running'
        ? `${finished} of ${total}${timeLeft(progress)}`
        : phase.kind === 'starting'
          ? 'Starting …'
          : phase.kind === 'cancelled'
            ? `Cancelled; ${counted(layers.size, 'fitted layer')} kept for the next time`
            : '';
    setText(this.status, words);
    this.status.hidden = words === '';
  }

  private renderFacts({ preview, phase, choices, backend }: ConversionState): void {
    const checkpoint = preview?.checkpoint;
    const facts = [
      ...(checkpoint === undefined ? [] : checkpointFacts(checkpoint, preview?.layers.length ?? 0)),
      ...(phase.kind === 'done' && choices !== undefined ? [ranksInWords(choices.ranks)] : []),
      ...backendFacts(backend),
      ...(phase.kind === 'done' ? [seconds(phase.document.seconds)] : []),
    ];
    const signature = JSON.stringify([checkpoint, choices, backend, phase.kind]);
    if (this.facts.dataset.shown === signature) return;
    this.facts.dataset.shown = signature;
    setAttribute(this.facts, 'title', undefined);
    this.facts.replaceChildren(...facts.map((fact) => element('span', { class: 'fact' }, fact)));
  }
}
