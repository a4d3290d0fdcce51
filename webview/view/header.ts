/** The top of the page: which model, what is known of it, how far the audit is, and what can be done with it. */
import type { AuditState } from '../model/audit';
import { baseName } from '../model/names';
import { count, counted, seconds } from '../model/numbers';
import { button } from '../toolkit';
import { element, setAttribute, setText } from './element';
import { backendFacts, checkpointFacts, pathOf, ProgressBar, timeLeft } from './headerParts';
import { nameTitle } from './nameText';

export interface HeaderActions {
  readonly cancel: () => void;
  readonly retry: () => void;
  readonly showSkipped: () => void;
  readonly convert: () => void;
  readonly measure: () => void;
}

export class Header {
  readonly element: HTMLElement;
  private readonly title = element('h1', {}, element('bdi'));
  private readonly facts = element('p', { class: 'facts' });
  private readonly status = element('span', { class: 'progress-text' });
  private readonly progress = new ProgressBar('Audit progress');
  private readonly cancel: HTMLElement;
  private readonly again: HTMLElement;
  private readonly convert: HTMLElement;
  private readonly measure: HTMLElement;
  private readonly skippedLink: HTMLButtonElement;

  /** @param resource URI of what the page is about: its name until the host has read it */
  constructor(
    actions: HeaderActions,
    private readonly exportMenu: HTMLElement,
    private readonly resource: string,
  ) {
    this.cancel = button('Cancel', actions.cancel);
    this.again = button('Audit Again', actions.retry, { appearance: 'primary' });
    this.convert = button('Convert…', actions.convert);
    this.convert.title = 'Convert to sine-low-rank';
    this.measure = button('Measure…', actions.measure);
    this.measure.title = 'Measure utilized rank, with your data';
    this.skippedLink = element('button', {
      class: 'link',
      text: 'why',
      title: 'Show the skipped tensors with their reasons',
      attributes: { type: 'button', 'aria-label': 'why: show the skipped tensors with their reasons' },
    });
    this.skippedLink.addEventListener('click', actions.showSkipped);
    const side = element(
      'div',
      { class: 'actions' },
      ...[this.status, this.cancel, this.again, this.measure, this.convert, exportMenu],
    );
    const model = element('div', { class: 'model' }, this.title, this.facts);
    this.element = element('header', { class: 'page-header' }, this.progress.element, model, side);
  }

  render(state: AuditState): void {
    this.renderTitle(state);
    this.renderFacts(state);
    this.renderProgress(state);
  }

  private renderTitle({ checkpoint, phase }: AuditState): void {
    const path = checkpoint?.path ?? pathOf(this.resource);
    const name =
      path === '' ? (phase.kind === 'waiting' ? 'Opening…' : 'Checkpoint') : nameTitle(baseName(path));
    this.exportMenu.hidden = checkpoint === undefined;
    this.convert.hidden = checkpoint === undefined;
    this.measure.hidden = checkpoint === undefined;
    const text = this.title.firstElementChild;
    if (text !== null) setText(text, name);
    setAttribute(this.title, 'title', path === '' ? undefined : nameTitle(path));
  }

  private renderFacts(state: AuditState): void {
    const { checkpoint, skipped, slots, backend, phase } = state;
    const shown = JSON.stringify([checkpoint, skipped?.length, slots.length, backend, phase.kind]);
    if (this.facts.dataset.shown === shown) return;
    this.facts.dataset.shown = shown;
    const facts = [
      ...(checkpoint === undefined ? [] : checkpointFacts(checkpoint, slots.length)),
      ...(skipped === undefined || skipped.length === 0 ? [] : [this.skippedFact(skipped.length)]),
      ...backendFacts(backend),
      ...(phase.kind === 'done' ? [seconds(phase.seconds)] : []),
    ];
    this.facts.replaceChildren(...facts.map((fact) => element('span', { class: 'fact' }, fact)));
  }

  private skippedFact(skipped: number): HTMLElement {
    return element('span', {}, `${counted(skipped, 'tensor')} skipped (`, this.skippedLink, ')');
  }

  private renderProgress({ phase, progress, finished, slots }: AuditState): void {
    const busy = phase.kind === 'running' || phase.kind === 'waiting';
    this.cancel.hidden = phase.kind !== 'running';
    this.again.hidden = phase.kind !== 'cancelled';
    this.status.hidden = phase.kind !== 'running' && phase.kind !== 'cancelled';
    this.progress.render(busy, phase.kind === 'running' ? progress?.fraction : undefined);
    const share = `${count(Math.max(finished, progress?.done ?? 0))} of ${counted(slots.length, 'layer')}`;
    if (phase.kind === 'cancelled')
      setText(this.status, `Cancelled after ${count(finished)} of ${counted(slots.length, 'layer')}`);
    else setText(this.status, `${share}${timeLeft(progress)}`);
  }
}
