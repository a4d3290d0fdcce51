/** Spectra of the selected layer: the original, truncated SVD and sine-low-rank at the same k. */
import { count, rank } from '../../model/numbers';
import type { Theme } from '../../theme';
import { element } from '../../view/element';
import type { HoverCard } from '../../view/hoverCard';
import { nameText } from '../../view/nameText';
import type { ViewState } from '../model/viewState';
import type { PageLayer } from '../protocol';
import { seriesStyles } from './seriesStyles';
import { SpectraPlot, type DrawnSpectrum, type SpectraActions } from './spectraPlot';

export class LayerSpectra {
  readonly element: HTMLElement;
  private readonly plot: SpectraPlot;
  private readonly name = element('div', { class: 'section-name' });

  constructor(actions: SpectraActions, hover: HoverCard) {
    this.plot = new SpectraPlot(
      { title: 'Spectrum', keys: 'Singular values of the selected layer' },
      actions,
      hover,
    );
    this.element = this.plot.element;
    this.plot.element.querySelector('.plot-head')?.after(this.name);
  }

  /** @param layer what became of it, once it is finished. */
  render(layer: PageLayer | undefined, name: string | undefined, view: ViewState, theme: Theme): void {
    if (this.name.dataset.shown !== name) {
      this.name.dataset.shown = name ?? '';
      this.name.replaceChildren(...(name === undefined ? [] : [nameText(name)]));
    }
    this.plot.render({
      ...{ theme, scale: view.scale, as: view.spectraAs },
      spectra: drawn(layer, theme),
      remarks: remarks(layer),
    });
  }
}

function drawn(layer: PageLayer | undefined, theme: Theme): DrawnSpectrum[] {
  if (layer?.outcome !== 'converted' || layer.spectra === undefined) return [];
  const { spectra, spectrum, k } = layer;
  const styles = seriesStyles(theme);
  const facts = ({ stableRank, rank: r }: typeof spectrum.before): string =>
    `rank ${rank(r)} · stable rank ${stableRank.toFixed(1)}`;
  return [
    {
      ...{ label: `SVD, k ${count(k)}`, values: spectra.lowRank, style: styles.lowRank },
      facts: facts(spectrum.lowRank),
    },
    {
      ...{ label: `sine, k ${count(k)}`, values: spectra.converted, style: styles.sine },
      facts: facts(spectrum.converted),
    },
    {
      ...{ label: 'original', values: spectra.original, style: styles.original },
      facts: facts(spectrum.before),
    },
  ];
}

function remarks(layer: PageLayer | undefined): string[] {
  if (layer === undefined) return ['This layer is not finished yet.'];
  if (layer.outcome === 'dense') return ['This layer stays dense.'];
  if (layer.spectra === undefined) return ['Its spectra come with the next conversion.'];
  return layer.groups === undefined ? [] : [`Means over ${count(layer.groups)} groups.`];
}
