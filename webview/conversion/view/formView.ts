/** The form: how ranks are chosen, what that would cost, what is written and where. */
import { count, counted, percent } from '../../model/numbers';
import { button, checkbox, statefulButton, textField, type ButtonControl } from '../../toolkit';
import { element, setAttribute, setText } from '../../view/element';
import { nameTitle } from '../../view/nameText';
import { Segmented } from '../../view/segmented';
import {
  choicesOf,
  layersPattern,
  numberProblem,
  RANKS_KINDS,
  rulesOf,
  type FormState,
  type RanksKind,
} from '../model/form';
import { denseWords, mostRank, type Plan } from '../model/plan';
import { evenScale, logScale, wholeScale, type SliderScale } from '../model/sliderScale';
import { isBusy, type ConversionState } from '../model/state';
import type { ViewState } from '../model/viewState';
import { SliderField } from './sliderField';

export interface FormActions {
  readonly change: (form: Partial<FormState>) => void;
  readonly openOptions: (open: boolean) => void;
  readonly chooseFolder: () => void;
  readonly convert: () => void;
}

/** A slider with more whole steps than this is logarithmic: a pixel would be several numbers at the small end. */
const EVEN_RANKS = 64;
/** Of the error's slider. */
const ERROR_GRAIN = 0.01;

export class FormView {
  readonly element: HTMLElement;
  private readonly kinds: Segmented<RanksKind>;
  private readonly number: SliderField;
  private readonly hint = element('p', { class: 'form-hint' });
  private readonly bar = element('span', { class: 'bar' });
  private readonly rate = element('strong', { class: 'form-rate' });
  private readonly words = element('span');
  private readonly fates = element('p', { class: 'form-hint' });
  private readonly options: HTMLDetailsElement;
  private readonly layers;
  private readonly materialize;
  private readonly folder = element('bdi', { class: 'form-folder' });
  private readonly besideButton: HTMLElement;
  private readonly convert: ButtonControl;
  private form: FormState | undefined;

  constructor(actions: FormActions) {
    this.kinds = new Segmented<RanksKind>(
      'How ranks are chosen',
      RANKS_KINDS.map((value) => ({ value, text: rulesOf(value).title, title: rulesOf(value).hint })),
      (kind) => {
        actions.change({ kind });
      },
    );
    this.number = new SliderField({ label: '', name: 'How much is kept' }, (value) => {
      if (this.form !== undefined)
        actions.change({ numbers: { ...this.form.numbers, [this.form.kind]: value } });
    });
    this.layers = textField(
      { label: 'Layers', placeholder: 'all; or a regular expression', value: '' },
      (layers) => {
        actions.change({ layers });
      },
    );
    this.materialize = checkbox('Also write a dense checkpoint that any tool loads', (materialize) => {
      actions.change({ materialize });
    });
    this.besideButton = button('Beside the checkpoint', () => {
      // A folder that is not chosen is beside the checkpoint.
      actions.change({ out: undefined });
    });
    this.options = this.makeOptions(actions);
    this.convert = statefulButton('Convert', actions.convert, { appearance: 'primary' });
    this.element = this.assemble();
  }

  render(state: ConversionState, plan: Plan, view: ViewState): void {
    const { form } = view;
    this.form = form;
    this.kinds.set(form.kind);
    const value = form.numbers[form.kind];
    const { unit, hint } = rulesOf(form.kind);
    const problem = this.problemOf(form, plan);
    this.number.render({
      ...{ scale: scaleOf(form.kind, plan), value, unit, spoken: `${value} ${unit}` },
      ...(problem !== undefined && { problem }),
    });
    setText(this.hint, `${hint}.`);
    this.renderPreview(form, plan);
    this.renderOptions(form, state, view.optionsOpen);
    const busy = isBusy(state);
    const ready = choicesOf(form) !== undefined && problem === undefined && plan.converted > 0;
    this.convert.set({
      disabled: busy || !ready,
      ...(plan.converted === 0 && { title: 'No layer would be converted' }),
    });
  }

  private problemOf(form: FormState, plan: Plan): string | undefined {
    const value = form.numbers[form.kind];
    const problem = numberProblem(form.kind, value);
    if (problem !== undefined || form.kind !== 'compression') return problem;
    const least = plan.leastParameters / plan.parametersBefore;
    return value / 100 < least
      ? `Less than ${percent(least)} is not possible: that is k = 1 everywhere`
      : undefined;
  }

  private renderPreview(form: FormState, plan: Plan): void {
    const { parametersBefore: before, parametersAfter: after } = plan;
    const share =
      after !== undefined ? after / before : form.kind === 'compression' ? form.numbers.compression / 100 : 1;
    this.bar.style.transform = `scaleX(${Math.max(0, Math.min(1, Number.isFinite(share) ? share : 1))})`;
    this.bar.classList.toggle('open', after === undefined);
    setText(this.rate, after === undefined ? '' : percent(share));
    setText(this.words, previewWords(form, plan));
    const dense = denseWords(plan);
    setText(
      this.fates,
      `${count(plan.converted)} of ${counted(plan.layers.length, 'layer')} converted${dense === '' ? '' : `; dense: ${dense}`}`,
    );
  }

  private renderOptions(form: FormState, { folder }: ConversionState, open: boolean): void {
    if (this.options.open !== open) this.options.open = open;
    if (this.layers.value !== form.layers) this.layers.value = form.layers;
    const pattern = layersPattern(form.layers);
    this.layers.setProblem(pattern.kind === 'invalid' ? pattern.message : undefined);
    this.materialize.checked = form.materialize;
    const text = nameTitle(form.out ?? folder);
    setText(this.folder, text);
    setAttribute(this.folder, 'title', text);
    this.besideButton.hidden = form.out === undefined;
  }

  private makeOptions(actions: FormActions): HTMLDetailsElement {
    const details = element(
      'details',
      { class: 'form-options' },
      element('summary', { text: 'Options' }),
      element('div', { class: 'form-field' }, this.layers.element),
      element('div', { class: 'form-field' }, this.materialize.element),
      element(
        'div',
        { class: 'form-field' },
        element('span', { class: 'form-label', text: 'Write to' }),
        this.folder,
        button('Choose…', actions.chooseFolder),
        this.besideButton,
      ),
    );
    details.addEventListener('toggle', () => {
      actions.openOptions(details.open);
    });
    return details;
  }

  private assemble(): HTMLElement {
    const track = element(
      'div',
      { class: 'bar-track form-bar', attributes: { 'aria-hidden': 'true' } },
      this.bar,
    );
    const preview = element(
      'div',
      { class: 'form-preview', attributes: { role: 'status' } },
      track,
      element('p', {}, this.rate, this.words),
      this.fates,
    );
    return element(
      'section',
      { class: 'form', attributes: { 'aria-label': 'What to convert' } },
      element('div', { class: 'form-head' }, element('h2', { text: 'Ranks by' }), this.kinds.element),
      this.number.element,
      this.hint,
      preview,
      element('div', { class: 'form-foot' }, this.options, this.convert.element),
    );
  }
}

function scaleOf(kind: RanksKind, plan: Plan): SliderScale {
  const most = mostRank(plan.layers.map(({ layer }) => layer));
  const { from, to } = rulesOf(kind, most);
  switch (kind) {
    case 'rank':
      return to <= EVEN_RANKS ? wholeScale(from, to) : rankScale(from, to);
    case 'share':
      return evenScale(from, to, 0.5);
    case 'compression':
      return evenScale(from, to, 0.5);
    case 'error':
      return evenScale(from, to, ERROR_GRAIN);
  }
}

/** Logarithmic, and whole. */
function rankScale(from: number, to: number): SliderScale {
  const scale = logScale(from, to);
  return { ...scale, valueAt: (position) => Math.round(scale.valueAt(position)) };
}

function previewWords(form: FormState, plan: Plan): string {
  if (plan.parametersAfter !== undefined)
    return ` of the parameters: ${count(plan.parametersBefore)} → ${count(plan.parametersAfter)}`;
  const least = percent(plan.leastParameters / plan.parametersBefore);
  if (form.kind === 'compression')
    return `k is decided when fitting: it goes where it buys most. As little as ${least} is possible.`;
  return 'k is decided when fitting: the smallest that comes this close. Layers where that would not save stay dense.';
}
