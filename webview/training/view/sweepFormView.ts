/** The form of a new comparison: forms, ranks, ω, seeds, learning rates; what would be started, before it is. */
import { counted, percent } from '../../model/numbers';
import { printable } from '../../model/names';
import {
  button,
  checkbox,
  statefulButton,
  textField,
  type ButtonControl,
  type TextControl,
  type ToggleControl,
} from '../../toolkit';
import { element, setText } from '../../view/element';
import {
  FIELD_RULES,
  FORM_KINDS,
  LIST_FIELDS,
  MAX_RUNS,
  readForm,
  type ListField,
  type SweepForm,
  type SweepFormKind,
} from '../model/sweep';
import { formTitle } from '../model/variants';
import { parametersText } from '../model/words';
import type { TrainingOutline } from '../protocol';

export interface SweepFormActions {
  readonly change: (form: SweepForm) => void;
  readonly start: () => void;
  readonly close: () => void;
}

/** What the host says that would be started. */
export type Outlook =
  | { readonly kind: 'asking' }
  | { readonly kind: 'known'; readonly outline: TrainingOutline }
  | { readonly kind: 'wrong'; readonly message: string };

/** Labels of runs that are listed; the others are counted. */
const MAX_LISTED = 12;

export class SweepFormView {
  readonly element: HTMLElement;
  private readonly forms: ReadonlyMap<SweepFormKind, ToggleControl>;
  private readonly fields: ReadonlyMap<
    ListField,
    { readonly control: TextControl; readonly problem: HTMLElement }
  >;
  private readonly words = element('p', { class: 'form-rate' });
  private readonly listed = element('p', { class: 'form-hint' });
  private readonly problem = element('p', { class: 'field-problem' });
  private readonly start: ButtonControl;
  private form: SweepForm | undefined;

  constructor(private readonly actions: SweepFormActions) {
    this.forms = new Map(
      FORM_KINDS.map((kind) => [
        kind,
        checkbox(formTitle(kind), (checked) => {
          this.changeForms(kind, checked);
        }),
      ]),
    );
    this.fields = new Map(
      LIST_FIELDS.map((field) => {
        const { title, placeholder } = FIELD_RULES[field];
        const control = textField({ label: title, placeholder, value: '' }, (text) => {
          this.change({ [field]: text });
        });
        return [field, { control, problem: element('span', { class: 'field-problem' }) }] as const;
      }),
    );
    this.start = statefulButton('Start', actions.start, { appearance: 'primary' });
    this.element = this.assemble();
  }

  render(form: SweepForm, outlook: Outlook): void {
    this.form = form;
    const { sweep, problems } = readForm(form);
    for (const [kind, control] of this.forms) control.checked = form.forms.includes(kind);
    for (const [field, { control, problem }] of this.fields) {
      if (control.value !== form[field]) control.value = form[field];
      control.setProblem(problems[field]);
      setText(problem, problems[field] ?? '');
    }
    this.renderOutlook(sweep === undefined ? undefined : outlook, problems.forms);
  }

  focus(): void {
    this.forms.get('dense')?.element.focus();
  }

  private renderOutlook(outlook: Outlook | undefined, problem: string | undefined): void {
    const outline = outlook?.kind === 'known' ? outlook.outline : undefined;
    const many = outline?.runs.length ?? 0;
    const tooMany = many > MAX_RUNS ? `at most ${counted(MAX_RUNS, 'run')} at once` : undefined;
    const wrong = problem ?? (outlook?.kind === 'wrong' ? outlook.message : tooMany);
    setText(this.problem, printable(wrong ?? ''));
    setText(
      this.words,
      outline === undefined ? (outlook?.kind === 'asking' ? 'Counting …' : '') : wordsOf(outline),
    );
    setText(this.listed, outline === undefined ? '' : listOf(outline));
    setText(this.start.element, many === 0 ? 'Start' : `Start ${counted(many, 'run')}`);
    this.start.set({ disabled: outline === undefined || wrong !== undefined || many === 0 });
  }

  private changeForms(kind: SweepFormKind, checked: boolean): void {
    const chosen = this.form?.forms ?? [];
    this.change({ forms: FORM_KINDS.filter((other) => (other === kind ? checked : chosen.includes(other))) });
  }

  private change(changed: Partial<SweepForm>): void {
    if (this.form === undefined) return;
    this.form = { ...this.form, ...changed };
    this.actions.change(this.form);
  }

  private assemble(): HTMLElement {
    const kinds = element(
      'div',
      { class: 'sweep-forms', attributes: { role: 'group', 'aria-label': 'Forms' } },
      ...[...this.forms.values()].map(({ element: control }) => control),
    );
    const lists = [...this.fields.values()].map(({ control, problem }) =>
      element('div', { class: 'sweep-field' }, control.element, problem),
    );
    const outlook = element(
      'div',
      { class: 'form-preview', attributes: { role: 'status' } },
      ...[this.words, this.listed, this.problem],
    );
    return element(
      'section',
      { class: 'form sweep', attributes: { 'aria-label': 'New comparison' } },
      element('div', { class: 'form-head' }, element('h2', { text: 'New comparison' }), kinds),
      element('div', { class: 'sweep-fields' }, ...lists),
      element(
        'div',
        { class: 'form-foot' },
        outlook,
        element('div', { class: 'sweep-buttons' }, button('Close', this.actions.close), this.start.element),
      ),
    );
  }
}

function wordsOf({ runs, parameters, launcher }: TrainingOutline): string {
  const cost =
    parameters === undefined
      ? ''
      : ` · ${parametersText(parameters.trained)} parameters trained of ${parametersText(parameters.total)}, ${percent(parameters.dense > 0 ? parameters.total / parameters.dense : 1)} of dense`;
  return `${counted(runs.length, 'run')}, ${launcher === 'here' ? 'on this machine' : printable(launcher)}${cost}`;
}

function listOf({ runs }: TrainingOutline): string {
  const labels = runs.slice(0, MAX_LISTED).map(({ label }) => printable(label));
  const more = runs.length - labels.length;
  return `${labels.join(' · ')}${more > 0 ? ` · and ${counted(more, 'more run')}` : ''}`;
}
