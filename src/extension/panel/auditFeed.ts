import type { AuditDocument, LayerAudit } from '../../engine/document';
import type { Progress } from '../../engine/progress';
import type { PanelLayerAudit, ToPanel } from '../../../webview/protocol';

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

export interface FeedTiming {
  /** Least time between two rounds of messages, in milliseconds. */
  readonly roundMs: number;
  /** Pause between the messages of a round that does not fit into one. */
  readonly pauseMs: number;
  /** Singular values in one message, which the page has to take in between two frames. */
  readonly valuesPerMessage: number;
}

/** What a layer's other numbers and texts weigh, counted as values. */
const METRICS_PER_LAYER = 32;

/** Sixteen rounds a second look continuous; 16,384 values are 128 kB. */
const TIMING: FeedTiming = { roundMs: 60, pauseMs: 10, valuesPerMessage: 16_384 };

/**
 * Keeps the state of a panel's audit, and brings the page up to it: layers in batches, everything again to a page that
 * was hidden or reloaded, nothing while there is none. The end comes after all layers.
 */
export class AuditFeed {
  private opened: Opened | undefined;
  private readonly layers = new Map<number, PanelLayerAudit>();
  private progress: Progress | undefined;
  private ending: Ending | undefined;
  private notices: string[] = [];

  private attached = false;
  private resuming = false;
  private unsentOpened = false;
  private unsentLayers: number[] = [];
  private unsentProgress = false;
  private unsentEnding = false;
  private sentNotices = 0;
  private timer: NodeJS.Timeout | undefined;
  private lastRound = -Infinity;

  constructor(
    private readonly post: (message: ToPanel) => void,
    private readonly timing: FeedTiming = TIMING,
  ) {}

  /** A page listens: send it everything. */
  attach(): void {
    this.attached = true;
    this.sendAgain();
    this.round();
  }

  /** There is no page: keep the state for the next one. */
  detach(): void {
    this.attached = false;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** A new audit; the page keeps showing the last one until this one's file is open. */
  begin(): void {
    this.reset();
    this.notices = [];
    this.sentNotices = 0;
    this.resuming = false;
  }

  /** The same audit goes on in another engine: layers that were finished stay. */
  resume(): void {
    this.resuming = true;
  }

  open(opened: Opened): void {
    const same = this.resuming && this.opened !== undefined && describesSame(this.opened, opened);
    this.resuming = false;
    if (same) return;
    this.reset();
    this.opened = opened;
    this.unsentOpened = true;
    this.schedule();
  }

  layer(index: number, layer: LayerAudit): void {
    if (this.layers.has(index)) return;
    const { singularValues, ...facts } = layer;
    const panelLayer =
      singularValues === undefined ? facts : { ...facts, singularValues: Float64Array.from(singularValues) };
    this.layers.set(index, panelLayer);
    this.unsentLayers.push(index);
    this.schedule();
  }

  progressed(progress: Progress): void {
    this.progress = progress;
    this.unsentProgress = true;
    this.schedule();
  }

  end(ending: Ending): void {
    this.ending = ending;
    this.unsentEnding = true;
    this.schedule();
  }

  /** Said when the file is open or the audit has ended, so that a new audit's first message does not sweep it away. */
  notice(message: string): void {
    this.notices.push(message);
    this.schedule();
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

  private reset(): void {
    this.opened = undefined;
    this.layers.clear();
    this.progress = undefined;
    this.ending = undefined;
    this.sendAgain();
  }

  private sendAgain(): void {
    this.unsentOpened = this.opened !== undefined;
    this.unsentLayers = [...this.layers.keys()];
    this.unsentProgress = this.progress !== undefined;
    this.unsentEnding = this.ending !== undefined;
    this.sentNotices = 0;
  }

  private schedule(pauseMs = this.lastRound + this.timing.roundMs - performance.now()): void {
    if (!this.attached || this.timer !== undefined) return;
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.round();
      },
      Math.max(0, pauseMs),
    );
  }

  private round(): void {
    this.lastRound = performance.now();
    if (this.opened !== undefined && this.unsentOpened) {
      this.unsentOpened = false;
      this.post({ type: 'opened', ...this.opened });
    }
    if (this.opened !== undefined || this.ending !== undefined) this.postNotices();
    this.postLayers();
    if (this.unsentLayers.length > 0) {
      this.schedule(this.timing.pauseMs);
      return;
    }
    if (this.progress !== undefined && this.unsentProgress) {
      this.unsentProgress = false;
      this.post({ type: 'progress', progress: this.progress });
    }
    if (this.ending !== undefined && this.unsentEnding) {
      this.unsentEnding = false;
      this.post(this.ending);
    }
  }

  private postNotices(): void {
    for (const message of this.notices.slice(this.sentNotices)) this.post({ type: 'notice', message });
    this.sentNotices = this.notices.length;
  }

  private postLayers(): void {
    const batch: { index: number; layer: PanelLayerAudit }[] = [];
    let values = 0;
    let taken = 0;
    for (const index of this.unsentLayers) {
      const layer = this.layers.get(index);
      if (layer === undefined) continue;
      const size = METRICS_PER_LAYER + (layer.singularValues?.length ?? 0);
      if (batch.length > 0 && values + size > this.timing.valuesPerMessage) break;
      batch.push({ index, layer });
      values += size;
      taken++;
    }
    this.unsentLayers.splice(0, taken);
    if (batch.length > 0) this.post({ type: 'layers', layers: batch });
  }
}

function describesSame(a: Opened, b: Opened): boolean {
  return (
    a.checkpoint.bytes === b.checkpoint.bytes &&
    a.layerNames.length === b.layerNames.length &&
    a.layerNames.every((name, i) => name === b.layerNames[i])
  );
}
