/** The ω explorer: sliders for ω, k and g, the spectrum they make, and what Proposition 1 says of it. */
import { count, significant } from '../../model/numbers';
import type { Theme } from '../../theme';
import { button, statefulButton } from '../../toolkit';
import { element, setAttribute, setText } from '../../view/element';
import type { HoverCard } from '../../view/hoverCard';
import { nameText, nameTitle } from '../../view/nameText';
import type { Explored } from '../explorer';
import { rangeEnd } from '../model/sliderScale';
import type { ViewState } from '../model/viewState';
import { errorText, ratioText } from '../model/columns';
import type { PageSineSpectrum } from '../protocol';
import { Readouts } from './readouts';
import { SliderField } from './sliderField';
import { SpectraPlot, type DrawnSpectrum, type SpectraActions } from './spectraPlot';
import { seriesStyles } from './seriesStyles';

export interface ExplorerActions extends SpectraActions {
  readonly start: () => void;
  readonly change: (change: {
    readonly omega?: number;
    readonly rank?: number;
    readonly gain?: number;
  }) => void;
  readonly fitGain: () => void;
  readonly reset: () => void;
  readonly retry: () => void;
}

export class ExplorerView {
  readonly element: HTMLElement;
  private readonly name = element('span', { class: 'section-name' });
  private readonly start;
  private readonly intro: HTMLElement;
  private readonly body: HTMLElement;
  private readonly omega: SliderField;
  private readonly rank: SliderField;
  private readonly gain: SliderField;
  private readonly range = element('span', { class: 'slider-range' });
  private readonly proposition = element('p', { class: 'explorer-words' });
  private readonly failure = element('p', { class: 'field-problem', attributes: { role: 'alert' } });
  private readonly retry: HTMLElement;
  private readonly readouts = new Readouts();
  private readonly plot: SpectraPlot;
  /** Somebody is sent here, and the sliders are not there yet. */
  private wantsFocus = false;

  constructor(actions: ExplorerActions, hover: HoverCard) {
    this.start = statefulButton('Explore ω', actions.start);
    this.intro = element(
      'div',
      { class: 'explorer-intro' },
      element('p', {
        text: 'How ω, k and g shape the spectrum of sin(ω·U·Vᵀ)/g, for U·Vᵀ the truncated SVD of a layer.',
      }),
      this.start.element,
    );
    this.omega = new SliderField({ label: 'ω', name: 'ω, frequency' }, (omega) => {
      actions.change({ omega });
    });
    this.omega.marks.append(this.range);
    this.rank = new SliderField({ label: 'k', name: 'k, rank of U·Vᵀ' }, (rank) => {
      actions.change({ rank });
    });
    this.gain = new SliderField({ label: 'g', name: 'g, gain' }, (gain) => {
      actions.change({ gain });
    });
    this.retry = button('Retry', actions.retry);
    this.plot = new SpectraPlot(
      { title: 'Spectrum of sin(ω·U·Vᵀ)/g', keys: 'Singular values of sin(ω·U·Vᵀ)/g' },
      actions,
      hover,
    );
    const side = element(
      'div',
      { class: 'explorer-side' },
      ...[this.omega.element, this.proposition, this.rank.element, this.gain.element],
      element(
        'div',
        { class: 'explorer-tools' },
        button('Best g for this ω', actions.fitGain),
        button('Start over', actions.reset),
      ),
      ...[this.readouts.element, this.failure, this.retry],
    );
    this.body = element('div', { class: 'explorer-body' }, side, this.plot.element);
    this.element = element(
      'section',
      { class: 'explorer', attributes: { 'aria-label': 'ω explorer' } },
      element('div', { class: 'plot-head' }, element('h2', { text: 'ω explorer' }), this.name),
      this.intro,
      this.body,
    );
  }

  /** @param layer name of the selected one. @param explored absent while nobody has asked for it. */
  render(layer: string | undefined, explored: Explored | undefined, view: ViewState, theme: Theme): void {
    this.renderName(layer);
    this.start.set({ disabled: layer === undefined });
    this.intro.hidden = explored !== undefined;
    this.body.hidden = explored === undefined;
    if (explored === undefined) return;
    this.renderSliders(explored);
    this.renderProposition(explored);
    this.readouts.render(explored.spectrum === undefined ? [] : readings(explored.spectrum));
    this.element.setAttribute('aria-busy', String(explored.busy));
    setText(this.failure, nameTitle(explored.failure ?? ''));
    this.failure.hidden = explored.failure === undefined;
    this.retry.hidden = explored.failure === undefined;
    this.plot.render({
      ...{ theme, scale: view.scale, as: view.explorerAs },
      spectra: explored.scales === undefined ? [] : drawn(explored, theme),
      remarks: remarks(explored),
    });
    if (!this.wantsFocus || explored.scales === undefined) return;
    this.wantsFocus = false;
    this.element.scrollIntoView({ block: 'nearest' });
    this.omega.focus();
  }

  /** Brings it into sight, with the focus on ω as soon as there is one. */
  focus(): void {
    this.wantsFocus = true;
  }

  private renderName(layer: string | undefined): void {
    if (this.name.dataset.shown === layer) return;
    this.name.dataset.shown = layer ?? '';
    this.name.replaceChildren(...(layer === undefined ? [] : [nameText(layer)]));
  }

  private renderSliders({ scales, settings }: Explored): void {
    for (const field of [this.omega, this.rank, this.gain]) field.element.hidden = scales === undefined;
    if (scales === undefined) return;
    const { omega, rank, gain } = settings;
    this.omega.render({
      ...{ scale: scales.omega, value: omega, unit: '', spoken: `ω ${significant(omega)}` },
      ...problem(omega > 0, 'ω is above 0'),
    });
    const whole = Number.isInteger(rank) && rank >= 1 && rank <= scales.rank.most;
    this.rank.render({
      ...{ scale: scales.rank, value: rank, unit: `of ${count(scales.rank.most)}`, spoken: `k ${rank}` },
      ...problem(whole, `k is a whole number from 1 to ${scales.rank.most}`),
    });
    this.gain.render({
      ...{ scale: scales.gain, value: gain, unit: '', spoken: `g ${significant(gain)}` },
      ...problem(gain > 0, 'g is above 0'),
    });
  }

  private renderProposition({ scales, spectrum, settings }: Explored): void {
    const known = scales !== undefined && spectrum !== undefined;
    this.proposition.hidden = !known;
    this.range.hidden = !known;
    if (!known) return;
    const { omegaLimit, rankBound } = spectrum.proposition1;
    const end = rangeEnd(scales.omega, omegaLimit);
    const share = end.kind === 'inside' ? end.share : end.kind === 'beyond' ? 1 : 0;
    this.range.style.width = `${share * 100}%`;
    const limit = `Proposition 1: for ω up to ${significant(omegaLimit)}`;
    const where = {
      inside: ' (marked)',
      beyond: ', beyond the end of the slider',
      before: ', before the slider begins',
    }[end.kind];
    const bound =
      settings.omega <= omegaLimit ? `here at least ${significant(rankBound)}` : 'nothing is said of this ω';
    setText(this.proposition, `${limit}${where}, the rank is bounded from below: ${bound}.`);
    setAttribute(
      this.proposition,
      'title',
      'Rank(sin(ωA)) ≥ ω·(A⁰min ÷ ‖√|A|‖)² for 0 ≤ ω ≤ π ÷ (3·A⁰min), A⁰min the smallest entry of A = U·Vᵀ that is not zero. It says where rank may grow, not how far.',
    );
  }
}

function problem(sound: boolean, words: string): { readonly problem?: string } {
  return sound ? {} : { problem: words };
}

function readings(
  spectrum: PageSineSpectrum,
): readonly (readonly [label: string, value: string, title: string])[] {
  const { relativeError, svdRelativeError } = spectrum;
  return [
    ['Stable rank', spectrum.stableRank.toFixed(2), '‖Ŵ‖²F ÷ σ₁²'],
    ['Rank at 99 %', count(spectrum.energyRank99), 'Fewest singular values with 99 % of the energy'],
    ['Rank at 99.99 %', count(spectrum.rank), 'Fewest singular values with 99.99 % of the energy'],
    ['Error', errorText(relativeError), '‖W − Ŵ‖ ÷ ‖W‖, before any fitting'],
    ['Error of U·Vᵀ', errorText(svdRelativeError), 'Truncated SVD at the same k'],
    [
      'Error, sine ÷ U·Vᵀ',
      svdRelativeError > 0 ? ratioText(relativeError / svdRelativeError) : '–',
      'Below 1, the sine is closer with the same parameters',
    ],
  ];
}

function drawn({ spectrum, settings }: Explored, theme: Theme): DrawnSpectrum[] {
  if (spectrum === undefined) return [];
  const styles = seriesStyles(theme);
  return [
    { label: 'U·Vᵀ', values: spectrum.lowRank, style: styles.lowRank, facts: `k ${count(settings.rank)}` },
    {
      ...{ label: 'sin(ω·U·Vᵀ)/g', values: spectrum.sine, style: styles.sine },
      facts: `ω ${significant(settings.omega)} · g ${significant(settings.gain)}`,
    },
    { label: 'original', values: spectrum.original, style: styles.original, facts: '' },
  ];
}

function remarks({ layer, scales, failure }: Explored): string[] {
  if (scales === undefined) return failure === undefined ? ['Computing the layer’s truncated SVD …'] : [];
  return [
    'U·Vᵀ is the layer’s truncated SVD; a conversion starts near it and then fits U and V.',
    ...(layer.groups > 1 ? [`The first of ${count(layer.groups)} groups.`] : []),
  ];
}
