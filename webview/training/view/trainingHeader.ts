/** The top of the page: which recipe, what its runs do, how far they are, and what can be started. */
import { baseName, printable } from '../../model/names';
import { button, statefulButton, type ButtonControl } from '../../toolkit';
import { element, setAttribute, setText } from '../../view/element';
import { pathOf, ProgressBar } from '../../view/headerParts';
import { icon } from '../../view/icons';
import { nameTitle } from '../../view/nameText';
import { isLive, type TrainingState } from '../model/state';
import { commandText, fractionOf, launcherText, progressText, reasonOf, statesText } from '../model/words';
import type { RunSummary } from '../protocol';

export interface HeaderActions {
  readonly train: () => void;
  readonly compare: () => void;
  readonly openForm: () => void;
  readonly stop: (folders: readonly string[]) => void;
  readonly openRecipe: () => void;
  readonly copyCommand: (text: string) => void;
}

export class TrainingHeader {
  readonly element: HTMLElement;
  private readonly facts = element('p', { class: 'facts' });
  private readonly status = element('span', { class: 'progress-text' });
  private readonly progress = new ProgressBar('Training progress');
  private readonly train: ButtonControl;
  private readonly compare: ButtonControl;
  private readonly form: ButtonControl;
  private readonly stop: ButtonControl;
  private readonly command = element('code');
  private readonly commandLine: HTMLElement;
  private live: readonly string[] = [];
  private text = '';

  /** @param resource URI of the recipe. */
  constructor(resource: string, actions: HeaderActions) {
    const path = pathOf(resource);
    const name = element('bdi', { text: nameTitle(baseName(path)) });
    const title = element('h1', { title: nameTitle(path) }, 'Training of ', name);
    this.train = statefulButton('Train', actions.train, { appearance: 'primary' });
    this.compare = statefulButton('Compare Forms', actions.compare);
    this.form = statefulButton('New Comparison…', actions.openForm);
    this.stop = statefulButton('Stop', () => {
      actions.stop(this.live);
    });
    const copy = button(
      icon('copy'),
      () => {
        actions.copyCommand(this.text);
      },
      { appearance: 'icon', label: 'Copy the command' },
    );
    this.commandLine = element('p', { class: 'command' }, this.command, copy);
    this.element = element(
      'header',
      { class: 'page-header' },
      this.progress.element,
      element('div', { class: 'model' }, title, this.facts),
      element(
        'div',
        { class: 'actions' },
        ...[this.status, this.stop.element, this.train.element, this.compare.element, this.form.element],
        button('Open Recipe', actions.openRecipe),
      ),
      this.commandLine,
    );
  }

  /** @param shown runs that the page is about, newest first */
  render(state: TrainingState, shown: readonly RunSummary[], all: readonly RunSummary[]): void {
    const live = all.filter(({ status }) => isLive(status.state));
    const running = shown.filter(({ status }) => isLive(status.state));
    this.live = live.flatMap(({ status, folder }) => (status.state === 'stopping' ? [] : [folder]));
    this.stop.element.hidden = live.length === 0;
    setText(this.stop.element, live.length > 1 ? 'Stop All' : 'Stop');
    this.stop.set({ disabled: this.live.length === 0, title: 'Ask to stop, keeping a checkpoint' });
    this.progress.render(running.length > 0 || !state.complete, overall(state, shown));
    setText(this.status, shown.length === 0 ? '' : progressText(shown));
    this.renderFacts(shown);
    this.renderCommand(shown);
    this.renderStarts(state);
  }

  private renderStarts({ trusted, look }: TrainingState): void {
    const why = !trusted
      ? 'Training needs a trusted workspace'
      : look?.trains === false
        ? 'The recipe has no training section'
        : undefined;
    const hint = { disabled: why !== undefined, ...(why !== undefined && { title: why }) };
    const script = look?.script === true ? 'The forms of a script are its own business' : undefined;
    this.train.set(hint);
    const comparing = {
      disabled: hint.disabled || script !== undefined,
      title: why ?? script ?? COMPARE_HINT,
    };
    this.compare.set(comparing);
    this.form.set({ ...comparing, title: why ?? script ?? FORM_HINT });
  }

  private renderFacts(shown: readonly RunSummary[]): void {
    const [first] = shown;
    const texts = first === undefined ? [] : factsOf(shown, first);
    const signature = JSON.stringify(texts);
    if (this.facts.dataset.shown === signature) return;
    this.facts.dataset.shown = signature;
    this.facts.replaceChildren(
      ...texts.map(({ text, title }) =>
        element('span', { class: 'fact' }, element('bdi', { text, ...(title !== undefined && { title }) })),
      ),
    );
  }

  private renderCommand(shown: readonly RunSummary[]): void {
    const launched = shown.find(({ launch }) => launch !== undefined)?.launch;
    this.commandLine.hidden = launched === undefined;
    this.text = launched === undefined ? '' : commandText(launched.command);
    setText(this.command, printable(this.text));
    setAttribute(this.command, 'title', nameTitle(this.text));
  }
}

const COMPARE_HINT = 'The same network in every form, at the recipe’s rank';
const FORM_HINT = 'Choose forms, ranks, seeds and learning rates';

interface Fact {
  readonly text: string;
  readonly title?: string;
}

function factsOf(shown: readonly RunSummary[], first: RunSummary): readonly Fact[] {
  const backend = shown.find(({ status }) => status.backend !== undefined)?.status.backend;
  const places = [...new Set(shown.map(launcherKind))];
  const reason = shown.length === 1 ? reasonOf(first) : '';
  const place = shown.length === 1 && first.status.state === 'running' ? first.detail : undefined;
  return [
    { text: statesText(shown) },
    ...(reason === '' ? [] : [{ text: nameTitle(reason) }]),
    ...places.map((text) => ({ text })),
    ...(backend === undefined ? [] : [{ text: nameTitle(backend.name), title: nameTitle(backend.about) }]),
    ...(first.launch === undefined ? [] : [{ text: `on ${nameTitle(first.launch.host)}` }]),
    ...(place === undefined ? [] : [{ text: nameTitle(place) }]),
  ];
}

/** Without the number of its job: there is one for each run. */
function launcherKind(run: RunSummary): string {
  const { launch, ...rest } = run;
  return launcherText(launch === undefined ? run : rest);
}

/** Of all runs on show, 0 … 1; undefined while none has said how far it is. */
function overall({ complete }: TrainingState, shown: readonly RunSummary[]): number | undefined {
  if (!complete) return undefined;
  const fractions = shown.map((run) => (isLive(run.status.state) ? fractionOf(run) : 1));
  if (fractions.every((fraction) => fraction === undefined)) return undefined;
  return fractions.reduce<number>((sum, fraction) => sum + (fraction ?? 0), 0) / Math.max(1, shown.length);
}
