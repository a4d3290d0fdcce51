/** What the ω explorer looks at: its settings, the newest answer, and the questions between page and host. */
import type { ConvertibleLayer } from '../../src/engine/conversionProtocol';
import {
  angleScale,
  bestGain,
  entryDeviation,
  firstAngle,
  withGain,
  type ExplorerSettings,
} from './model/explorer';
import { Latest } from './model/latest';
import { wholeScale, type SliderScale } from './model/sliderScale';
import type { PageSineSpectrum } from './protocol';

export interface ExplorerScales {
  readonly omega: SliderScale;
  readonly rank: SliderScale;
  readonly gain: SliderScale;
}

/** What is on show. */
export interface Explored {
  readonly layer: ConvertibleLayer;
  readonly settings: ExplorerSettings;
  /** Absent until the first answer, which tells how large the layer's entries are. */
  readonly scales?: ExplorerScales;
  /** The newest there is, at the g that is set; its ω and k may be a moment behind. */
  readonly spectrum?: PageSineSpectrum;
  readonly busy: boolean;
  readonly failure?: string;
}

interface Seen {
  readonly settings: ExplorerSettings;
  readonly scales: ExplorerScales;
}

interface Answer {
  readonly settings: ExplorerSettings;
  readonly spectrum: PageSineSpectrum;
}

export class Explorer {
  private layer: ConvertibleLayer | undefined;
  private settings: ExplorerSettings | undefined;
  private scales: ExplorerScales | undefined;
  private answer: Answer | undefined;
  private failure: string | undefined;
  /** g of the layer's conversion; undefined where there was none. */
  private fittedGain: number | undefined;
  /** Where each layer was left. */
  private readonly seen = new Map<string, Seen>();
  private readonly latest: Latest<ExplorerSettings, PageSineSpectrum>;

  constructor(
    ask: (settings: ExplorerSettings) => Promise<PageSineSpectrum>,
    private readonly changed: () => void,
  ) {
    this.latest = new Latest(
      ask,
      (settings, spectrum) => {
        this.answered(settings, spectrum);
      },
      (settings, reason) => {
        if (settings.layer !== this.layer?.name) return;
        this.failure = reason;
        this.changed();
      },
    );
  }

  get state(): Explored | undefined {
    const { layer, settings, scales, answer, failure } = this;
    if (layer === undefined || settings === undefined) return undefined;
    return {
      ...{ layer, settings, busy: this.latest.isBusy },
      ...(scales !== undefined && { scales }),
      ...(answer !== undefined && {
        spectrum: withGain(answer.spectrum, answer.settings.gain, settings.gain),
      }),
      ...(failure !== undefined && { failure }),
    };
  }

  /** Looks at a layer, where it was left or afresh. @param gain of its conversion, where there was one. */
  show(layer: ConvertibleLayer, rank: number, gain: number | undefined): void {
    if (this.layer?.name === layer.name) return;
    this.remember();
    this.layer = layer;
    this.fittedGain = gain;
    this.answer = undefined;
    this.failure = undefined;
    const seen = this.seen.get(layer.name);
    this.scales = seen?.scales;
    // Without a conversion nothing is known of the entries yet: the answer to any ω tells.
    const angle = gain ?? 1;
    this.settings = seen?.settings ?? { layer: layer.name, rank, omega: angle, gain: angle };
    this.ask();
  }

  change(change: Partial<Pick<ExplorerSettings, 'rank' | 'omega' | 'gain'>>): void {
    if (this.settings === undefined) return;
    this.settings = { ...this.settings, ...change };
    this.ask();
  }

  /** Sets the g that comes closest to the layer at this ω; false when there is none. */
  fitGain(): boolean {
    const spectrum = this.state?.spectrum;
    const gain = spectrum === undefined ? undefined : bestGain(spectrum, this.settings?.gain ?? 1);
    if (gain !== undefined) this.change({ gain });
    return gain !== undefined;
  }

  /** Back to where a fresh explorer begins. */
  reset(): void {
    const { scales, answer, layer, settings } = this;
    if (scales === undefined || answer === undefined || layer === undefined || settings === undefined) return;
    const angle = firstAngle(entryDeviation(answer.spectrum.original, layer.shape), this.fittedGain);
    this.change({ omega: angle, gain: angle });
  }

  /** Asks again, after a failure. */
  retry(): void {
    this.ask();
  }

  private ask(): void {
    const { settings } = this;
    if (settings === undefined) return;
    this.failure = undefined;
    const sound = settings.omega > 0 && settings.gain > 0 && settings.rank >= 1;
    if (sound) this.latest.want(settings);
    else this.latest.forget();
    this.changed();
  }

  private answered(settings: ExplorerSettings, spectrum: PageSineSpectrum): void {
    const { layer } = this;
    if (layer?.name !== settings.layer) return;
    const isElsewhere = this.scales === undefined && this.begin(layer, spectrum);
    // A first ω that was only to tell how large the entries are shows nothing.
    if (!isElsewhere) this.answer = { settings, spectrum };
    this.changed();
  }

  /** Sets the sliders' ends, now that the layer's entries are known. @returns whether ω moved with that. */
  private begin(layer: ConvertibleLayer, { original }: PageSineSpectrum): boolean {
    const deviation = entryDeviation(original, layer.shape);
    if (!(deviation > 0)) {
      this.failure = 'Every entry of this layer is zero: there is nothing to explore.';
      return false;
    }
    const angles = angleScale(deviation);
    this.scales = { omega: angles, rank: wholeScale(1, Math.min(...layer.shape)), gain: angles };
    const angle = firstAngle(deviation, this.fittedGain);
    if (angle === this.settings?.omega) return false;
    this.change({ omega: angle, gain: angle });
    return true;
  }

  private remember(): void {
    const { layer, settings, scales } = this;
    if (layer !== undefined && settings !== undefined && scales !== undefined)
      this.seen.set(layer.name, { settings, scales });
  }
}
