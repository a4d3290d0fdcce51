import type { PanelLayer } from '../model/audit';
import { count, counted, rank, significant } from '../model/numbers';
import { energyMarks, MAX_CURVES } from '../model/spectrum';
import type { ViewState } from '../model/viewState';
import type { Theme } from '../theme';
import { button } from '../toolkit';
import { element } from './element';
import { icon } from './icons';
import { nameTitle, shortNameText } from './nameText';
import type { Chosen } from './spectrumView';
import { curveStyle } from './spectrumChart';

export interface LegendActions {
  readonly deselect: (name: string) => void;
  readonly copySnippet: (name: string) => void;
  /** Shows how sin(ω·U·Vᵀ)/g of this layer depends on ω. */
  readonly exploreOmega: (name: string) => void;
}

/** A line for every curve: colour, name, what to read off it, copy, remove. */
export class SpectrumLegend {
  constructor(
    private readonly place: HTMLElement,
    private readonly actions: LegendActions,
  ) {
    place.classList.add('legend-list');
  }

  render(chosen: Chosen, view: ViewState, theme: Theme): void {
    const drawn = chosen.layers.slice(0, MAX_CURVES);
    const signature = JSON.stringify([
      ...[chosen.byHand, chosen.layers.length, view.spectrumView, theme.series],
      drawn.map(({ facts, spectrum }) => [facts.name, facts.rank, facts.spikes, spectrum.length]),
    ]);
    if (this.place.dataset.shown === signature) return;
    this.place.dataset.shown = signature;
    const entries = drawn.map((layer, i) => this.entry(layer, i, chosen.byHand, view, theme));
    this.place.replaceChildren(...entries, ...remarks(chosen, view));
  }

  private entry(layer: PanelLayer, i: number, byHand: boolean, view: ViewState, theme: Theme): HTMLElement {
    const { colour } = curveStyle(theme, i);
    const { name } = layer.facts;
    const line = element('span', { class: 'swatch line' });
    line.style.background = colour;
    const copy = button(
      icon('copy'),
      () => {
        this.actions.copySnippet(name);
      },
      { appearance: 'icon', label: `Copy ${nameTitle(name)} as Python` },
    );
    const explore = button(
      icon('wave'),
      () => {
        this.actions.exploreOmega(name);
      },
      { appearance: 'icon', label: `Explore ω for ${nameTitle(name)}` },
    );
    const remove = button(
      icon('close'),
      () => {
        this.actions.deselect(name);
      },
      { appearance: 'icon', label: `Remove ${nameTitle(name)} from the plot` },
    );
    return element(
      'div',
      { class: 'legend-layer' },
      ...[
        line,
        shortNameText(name),
        element('span', { class: 'legend-facts', text: readings(layer, view) }),
        explore,
        copy,
      ],
      ...(byHand ? [remove] : []),
    );
  }
}

function readings({ facts, spectrum }: PanelLayer, { spectrumView }: ViewState): string {
  if (spectrum.length === 0) return 'no singular values';
  if (spectrumView === 'energy') {
    return energyMarks(spectrum)
      .map(({ level, rank: at }) => `${level} at ${count(at)}`)
      .join(' · ');
  }
  const edge = facts.spectralNorm > 0 ? facts.randomEdge / facts.spectralNorm : 0;
  const spikes = facts.spikes === 1 ? '1 spike' : `${rank(facts.spikes)} spikes`;
  return `rank ${rank(facts.rank)} of ${count(facts.maxRank)} · ${spikes} · edge ${significant(edge)}`;
}

function remarks({ layers, byHand }: Chosen, { spectrumView }: ViewState): HTMLElement[] {
  const said: string[] = [];
  if (layers.length > 1 && spectrumView === 'values') said.push('Dashed: the random edge of each layer.');
  if (layers.length > MAX_CURVES)
    said.push(`${counted(layers.length - MAX_CURVES, 'more selected layer')} not drawn`);
  if (!byHand && layers.length > 0)
    said.push('Select layers in the table or the snapshot; Ctrl or Shift adds more.');
  if (layers.length === 0) said.push('No layer to show yet.');
  return said.map((text) => element('div', { class: 'legend-remark', text }));
}
