/** The legend of the chart of runs: a line's look and name, switched on and off by a click. */
import { counted } from '../../model/numbers';
import type { Theme } from '../../theme';
import { element } from '../../view/element';
import type { PlotData } from '../model/plot';
import type { Variant } from '../model/variants';
import { lineColour } from './runsChart';

/** More entries than this are not told apart by their look any more. */
const MAX_ENTRIES = 24;

export class PlotLegend {
  /** @param onChange keys of the variants that are switched off from now on */
  constructor(
    private readonly place: HTMLElement,
    private readonly onChange: (hidden: readonly string[]) => void,
  ) {
    place.classList.add('run-legend');
    place.setAttribute('role', 'group');
    place.setAttribute('aria-label', 'Lines on the chart');
  }

  render(variants: readonly Variant[], hidden: readonly string[], theme: Theme, { lines }: PlotData): void {
    const isEmpty = lines.length === 0;
    const facts = variants.map(({ key, label, style, runs }) => [key, label, style, runs.length]);
    const signature = JSON.stringify([facts, hidden, theme.series, isEmpty]);
    if (this.place.dataset.shown === signature) return;
    this.place.dataset.shown = signature;
    const focused = this.place.contains(document.activeElement) ? document.activeElement : undefined;
    const key = focused instanceof HTMLElement ? focused.dataset.key : undefined;
    this.place.replaceChildren(
      ...variants.slice(0, MAX_ENTRIES).map((variant) => this.entry(variant, hidden, theme)),
      ...remarks(variants, hidden, isEmpty),
    );
    if (key !== undefined)
      for (const button of this.place.querySelectorAll('button'))
        if (button.dataset.key === key) button.focus();
  }

  private entry({ key, label, style, runs }: Variant, hidden: readonly string[], theme: Theme): HTMLElement {
    const isShown = !hidden.includes(key);
    const line = element('span', { class: `swatch line dash-${style.dash}` });
    line.style.color = lineColour(theme, style);
    const seeds = runs.length > 1 ? element('span', { class: 'legend-seeds', text: `× ${runs.length}` }) : '';
    const button = element(
      'button',
      {
        class: 'legend-toggle',
        title: isShown ? 'Click to hide' : 'Click to show',
        attributes: { type: 'button', 'aria-pressed': String(isShown), 'data-key': key },
      },
      ...[line, element('bdi', { text: label }), seeds],
    );
    button.addEventListener('click', () => {
      this.onChange(isShown ? [...hidden, key] : hidden.filter((other) => other !== key));
    });
    return button;
  }
}

function remarks(variants: readonly Variant[], hidden: readonly string[], isEmpty: boolean): HTMLElement[] {
  const said: string[] = [];
  if (variants.length > MAX_ENTRIES) said.push(`and ${counted(variants.length - MAX_ENTRIES, 'more line')}`);
  if (variants.some(({ runs }) => runs.length > 1))
    said.push('Thick: mean over the seeds, as far as all have come.');
  if (isEmpty && variants.some(({ key }) => !hidden.includes(key))) said.push('Nothing told yet.');
  return said.map((text) => element('span', { class: 'legend-remark', text }));
}
