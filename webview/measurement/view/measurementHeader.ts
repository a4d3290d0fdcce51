/** The top of the page: which network on which data, how far its measurement is, and what can be done with it. */
import { baseName } from '../../model/names';
import { count, counted, seconds } from '../../model/numbers';
import { button } from '../../toolkit';
import { element, setText } from '../../view/element';
import { backendFacts, pathOf, ProgressBar, timeLeft } from '../../view/headerParts';
import { nameTitle } from '../../view/nameText';
import { isBusy, isWriting, type MeasurementState } from '../model/state';
import { modeWords, stageWords } from '../model/words';

export interface HeaderActions {
  readonly cancel: () => void;
  readonly resume: () => void;
  readonly openRecipe: () => void;
  readonly openAudit: () => void;
  readonly save: () => void;
  readonly decompose: () => void;
}

export class MeasurementHeader {
  readonly element: HTMLElement;
  private readonly facts = element('p', { class: 'facts' });
  private readonly status = element('span', { class: 'progress-text' });
  /** What the search is doing, read out as it changes only when somebody goes there: it changes every second. */
  private readonly stage = element('p', { class: 'stage' });
  private readonly progress = new ProgressBar('Measurement progress');
  private readonly cancel: HTMLElement;
  private readonly resume: HTMLElement;
  private readonly again: HTMLElement;
  private readonly whenDone: readonly HTMLElement[];
  private readonly audit: HTMLElement;

  /** @param resource URI of the recipe or model. */
  constructor(resource: string, actions: HeaderActions) {
    const path = pathOf(resource);
    const name = element('bdi', { text: nameTitle(baseName(path)) });
    const title = element('h1', { title: nameTitle(path) }, 'Utilized rank of ', name);
    this.cancel = button('Cancel', actions.cancel);
    this.resume = button('Resume', actions.resume, { appearance: 'primary' });
    this.again = button('Measure Again', actions.resume);
    this.again.title =
      'After a change of the recipe, the model or its data; what is the same is not run again';
    const recipe = button('Open Recipe', actions.openRecipe);
    recipe.hidden = !/\.json$/i.test(path);
    this.audit = button('Audit', actions.openAudit);
    this.audit.title = 'The rank audit of the checkpoint behind the network';
    const decompose = button('Decompose…', actions.decompose);
    decompose.title = 'Write a checkpoint with two thinner layers wherever that saves parameters';
    const save = button('Save…', actions.save);
    save.title = 'Save this measurement as JSON';
    this.whenDone = [decompose, save];
    this.element = element(
      'header',
      { class: 'page-header' },
      this.progress.element,
      element('div', { class: 'model' }, title, this.facts, this.stage),
      element(
        'div',
        { class: 'actions' },
        ...[this.status, this.cancel, this.resume, this.again, recipe, this.audit, decompose, save],
      ),
    );
  }

  render(state: MeasurementState): void {
    this.renderFacts(state);
    const { phase, progress, finished, layers } = state;
    const writing = isWriting(state);
    const busy = isBusy(state) || writing;
    this.progress.render(busy, phase.kind === 'opening' ? undefined : progress?.fraction);
    this.cancel.hidden = !busy;
    this.resume.hidden = phase.kind !== 'cancelled';
    for (const action of [this.again, ...this.whenDone]) action.hidden = phase.kind !== 'done' || writing;
    this.audit.hidden = phase.kind !== 'done' || phase.document.checkpoint === undefined;
    this.stage.hidden = !busy;
    setText(this.stage, busy ? stageText(state) : '');
    const words =
      phase.kind === 'running'
        ? `${count(finished)} of ${counted(layers.length, 'layer')}${timeLeft(progress)}`
        : phase.kind === 'cancelled'
          ? `Stopped after ${count(state.passes)} ${state.passes === 1 ? 'pass' : 'passes'}; what was probed is kept`
          : '';
    setText(this.status, words);
    this.status.hidden = words === '';
  }

  private renderFacts({ opened, phase, passes }: MeasurementState): void {
    const document = phase.kind === 'done' ? phase.document : undefined;
    const signature = JSON.stringify([opened?.network, document?.seconds, opened?.backend, passes > 0]);
    if (this.facts.dataset.shown === signature) return;
    this.facts.dataset.shown = signature;
    const network = opened?.network;
    const facts: (string | Node)[] = [
      ...(network === undefined
        ? []
        : [
            element('bdi', { text: nameTitle(network.runtime) }),
            counted(network.parameters, 'parameter'),
            `subspaces of ${counted(network.gramSamples, 'sample')}, validation on ${count(network.validationSamples)}`,
          ]),
      ...(document === undefined ? [] : [modeWords(document.mode, document.delta, document.energy)]),
      ...backendFacts(opened?.backend),
      ...(document === undefined ? [] : [seconds(document.seconds)]),
    ];
    this.facts.replaceChildren(...facts.map((fact) => element('span', { class: 'fact' }, fact)));
  }
}

/** While a checkpoint is written, what was measured is not searched again: the stages before only prepare it. */
function stageText(state: MeasurementState): string {
  const { phase, stage } = state;
  if (phase.kind === 'opening') return stageWords(undefined);
  return isWriting(state) && stage?.kind !== 'opening'
    ? stageWords({ kind: 'decomposing' })
    : stageWords(stage);
}
