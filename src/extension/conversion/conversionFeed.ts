import type { ConversionDocument, LayerConversion } from '../../engine/conversionDocument';
import type { Progress } from '../../engine/progress';
import type { PageLayer, ToConversion } from '../../../webview/conversion/protocol';
import { sameNames } from '../panel/auditFeed';
import { LayerFeed, type FeedTiming, type FeedWords } from '../panel/layerFeed';

type Opened = Omit<Extract<ToConversion, { type: 'opened' }>, 'type'>;

type Ending = Extract<ToConversion, { type: 'done' | 'failed' | 'cancelled' }>;

/** A conversion as far as it is; `opening` also before there is one. */
export interface ConversionFeedState {
  readonly status: 'opening' | 'running' | Ending['type'];
  readonly finishedLayers: number;
  readonly progress?: Progress;
  readonly document?: ConversionDocument;
  readonly message?: string;
  readonly notices: readonly string[];
}

const WORDS: FeedWords<Opened, PageLayer, ToConversion> = {
  opened: (opened) => ({ type: 'opened', ...opened }),
  layers: (layers) => ({ type: 'layers', layers }),
  progress: (progress) => ({ type: 'progress', progress }),
  notice: (message) => ({ type: 'notice', message }),
  values: (layer) => {
    if (layer.outcome === 'dense' || layer.spectra === undefined) return 0;
    const { original, lowRank, converted } = layer.spectra;
    return original.length + lowRank.length + converted.length;
  },
  same: (before, after) =>
    before.checkpoint.bytes === after.checkpoint.bytes && sameNames(before.layerNames, after.layerNames),
};

/** The state of a panel's conversion, and the page's way to it. */
export class ConversionFeed extends LayerFeed<Opened, PageLayer, Ending, ToConversion> {
  constructor(post: (message: ToConversion) => void, timing?: FeedTiming) {
    super(post, WORDS, timing);
  }

  layer(index: number, layer: LayerConversion): void {
    this.add(index, pageLayer(layer));
  }

  get document(): ConversionDocument | undefined {
    return this.ending?.type === 'done' ? this.ending.document : undefined;
  }

  get state(): ConversionFeedState {
    const { opened, progress, ending, document } = this;
    return {
      status: ending?.type ?? (opened === undefined ? 'opening' : 'running'),
      finishedLayers: this.layers.size,
      notices: [...this.notices],
      ...(progress !== undefined && { progress }),
      ...(document !== undefined && { document }),
      ...(ending?.type === 'failed' && { message: ending.message }),
    };
  }
}

function pageLayer(layer: LayerConversion): PageLayer {
  if (layer.outcome === 'dense') return layer;
  const { spectra, ...facts } = layer;
  if (spectra === undefined) return facts;
  const [original, lowRank, converted] = [spectra.original, spectra.lowRank, spectra.converted].map(
    (values) => Float64Array.from(values),
  );
  const none = new Float64Array();
  return {
    ...facts,
    spectra: { original: original ?? none, lowRank: lowRank ?? none, converted: converted ?? none },
  };
}
