import type { AuditDocument, LayerAudit } from '../../engine/document';
import type { Progress } from '../../engine/progress';
import type { PanelLayerAudit, ToPanel } from '../../../webview/protocol';
import { LayerFeed, type FeedTiming, type FeedWords } from './layerFeed';

/** What is known once the checkpoint is open. */
export type Opened = Omit<Extract<ToPanel, { type: 'opened' }>, 'type'>;

type Ending = Extract<ToPanel, { type: 'done' | 'failed' | 'cancelled' }>;

export type AuditStatus = 'opening' | 'running' | Ending['type'];

/** An audit as far as it is. */
export interface AuditState {
  readonly status: AuditStatus;
  readonly opened?: Opened;
  readonly finishedLayers: number;
  readonly progress?: Progress;
  readonly document?: AuditDocument;
  readonly message?: string;
  readonly notices: readonly string[];
}

const WORDS: FeedWords<Opened, PanelLayerAudit, ToPanel> = {
  opened: (opened) => ({ type: 'opened', ...opened }),
  layers: (layers) => ({ type: 'layers', layers }),
  progress: (progress) => ({ type: 'progress', progress }),
  notice: (message) => ({ type: 'notice', message }),
  values: ({ singularValues }) => singularValues?.length ?? 0,
  same: (before, after) =>
    before.checkpoint.bytes === after.checkpoint.bytes && sameNames(before.layerNames, after.layerNames),
};

/** The state of a panel's audit, and the page's way to it. */
export class AuditFeed extends LayerFeed<Opened, PanelLayerAudit, Ending, ToPanel> {
  constructor(post: (message: ToPanel) => void, timing?: FeedTiming) {
    super(post, WORDS, timing);
  }

  layer(index: number, layer: LayerAudit): void {
    const { singularValues, ...facts } = layer;
    this.add(
      index,
      singularValues === undefined ? facts : { ...facts, singularValues: Float64Array.from(singularValues) },
    );
  }

  layerNamed(name: string): PanelLayerAudit | undefined {
    for (const layer of this.layers.values()) if (layer.name === name) return layer;
    return undefined;
  }

  get state(): AuditState {
    const { opened, progress, ending } = this;
    return {
      status: ending?.type ?? (opened === undefined ? 'opening' : 'running'),
      finishedLayers: this.layers.size,
      notices: [...this.notices],
      ...(opened !== undefined && { opened }),
      ...(progress !== undefined && { progress }),
      ...(ending?.type === 'done' && { document: ending.document }),
      ...(ending?.type === 'failed' && { message: ending.message }),
    };
  }
}

export function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}
