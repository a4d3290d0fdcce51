/** Numbers with their names, side by side. */
import { element, setText } from '../../view/element';

export class Readouts {
  readonly element = element('dl', { class: 'readouts' });
  private values: readonly HTMLElement[] = [];

  /** @param readings always the same labels, or none */
  render(readings: readonly (readonly [label: string, value: string, title: string])[]): void {
    if (this.values.length !== readings.length) {
      this.values = readings.map(() => element('dd'));
      this.element.replaceChildren(
        ...readings.map(([label, , title], i) =>
          element('div', { title }, element('dt', { text: label }), this.values[i] ?? ''),
        ),
      );
    }
    readings.forEach(([, value], i) => {
      const place = this.values[i];
      if (place !== undefined) setText(place, value);
    });
  }
}
