/** A number with a slider to drag and a field to type in; both say the same. */
import { element, setAttribute, setText } from '../../view/element';
import type { SliderScale } from '../model/sliderScale';

export interface SliderLook {
  /** Stands before the slider. */
  readonly label: string;
  /** What a screen reader calls it. */
  readonly name: string;
}

export interface SliderState {
  readonly scale: SliderScale;
  readonly value: number;
  /** Stands behind the field. */
  readonly unit: string;
  /** What is wrong with the value; undefined when nothing is. */
  readonly problem?: string;
  /** Value and unit as they are read out. */
  readonly spoken: string;
}

let fields = 0;

export class SliderField {
  readonly element: HTMLElement;
  /** Lies on the slider's track, for marks on it. */
  readonly marks = element('div', { class: 'slider-marks', attributes: { 'aria-hidden': 'true' } });
  private readonly slider: HTMLInputElement;
  private readonly field: HTMLInputElement;
  private readonly unit = element('span', { class: 'slider-unit' });
  private readonly problem: HTMLElement;
  private scale: SliderScale | undefined;

  constructor(
    { label, name }: SliderLook,
    private readonly onInput: (value: number) => void,
  ) {
    const id = `slider-problem-${++fields}`;
    this.problem = element('div', { class: 'field-problem', attributes: { id, role: 'alert' } });
    this.slider = element('input', {
      class: 'slider',
      attributes: { type: 'range', min: '0', step: '1', 'aria-label': name },
    });
    this.field = element('input', {
      class: 'number-field',
      attributes: {
        ...{ type: 'text', inputmode: 'decimal', autocomplete: 'off', spellcheck: 'false' },
        ...{ 'aria-label': `${name}, as a number`, 'aria-describedby': id },
      },
    });
    this.element = element(
      'div',
      { class: 'slider-row' },
      element('span', { class: 'slider-label', text: label, attributes: { 'aria-hidden': 'true' } }),
      element('div', { class: 'slider-track' }, this.marks, this.slider),
      this.field,
      this.unit,
      this.problem,
    );
    this.listen();
  }

  render({ scale, value, unit, problem, spoken }: SliderState): void {
    this.scale = scale;
    setAttribute(this.slider, 'max', String(scale.steps));
    const position = String(Number.isFinite(value) ? scale.positionOf(value) : 0);
    if (this.slider.value !== position) this.slider.value = position;
    const share = scale.steps > 0 ? Number(position) / scale.steps : 0;
    this.slider.style.setProperty('--filled', `${share * 100}%`);
    setAttribute(this.slider, 'aria-valuetext', spoken);
    // What somebody types is theirs until it says something else.
    if (Number(this.field.value) !== value && Number.isFinite(value)) this.field.value = String(value);
    setText(this.unit, unit);
    this.unit.hidden = unit === '';
    setText(this.problem, problem ?? '');
    this.problem.hidden = problem === undefined;
    setAttribute(this.field, 'aria-invalid', problem === undefined ? undefined : 'true');
  }

  focus(): void {
    this.slider.focus();
  }

  private listen(): void {
    this.slider.addEventListener('input', () => {
      if (this.scale !== undefined) this.onInput(this.scale.valueAt(Number(this.slider.value)));
    });
    this.field.addEventListener('input', () => {
      const text = this.field.value.trim();
      this.onInput(text === '' ? NaN : Number(text));
    });
  }
}
