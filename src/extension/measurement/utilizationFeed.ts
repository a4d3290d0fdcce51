import type { Progress } from '../../engine/progress';
import type { LayerUtilization, UtilizationDocument } from '../../engine/utilizationDocument';
import type { UtilizationStage } from '../../engine/utilizationProtocol';
import type { PageProbe, PageUtilization, ToUtilization } from '../../../webview/measurement/protocol';
import { sameNames } from '../panel/auditFeed';
import { LayerFeed, type FeedTiming, type FeedWords } from '../panel/layerFeed';

export type OpenedMeasurement = Omit<Extract<ToUtilization, { type: 'opened' }>, 'type'>;

type Ending = Extract<ToUtilization, { type: 'done' | 'failed' | 'cancelled' }>;

/** A measurement as far as it is. */
export interface UtilizationState {
  readonly status: 'opening' | 'running' | Ending['type'];
  readonly opened?: OpenedMeasurement;
  readonly finishedLayers: number;
  readonly probes: number;
  readonly stage?: UtilizationStage;
  readonly progress?: Progress;
  readonly document?: UtilizationDocument;
  readonly message?: string;
  readonly notices: readonly string[];
}

const WORDS: FeedWords<OpenedMeasurement, PageUtilization, ToUtilization> = {
  opened: (opened) => ({ type: 'opened', ...opened }),
  layers: (layers) => ({ type: 'layers', layers }),
  progress: (progress) => ({ type: 'progress', progress }),
  notice: (message) => ({ type: 'notice', message }),
  values: ({ inputEnergies, outputEnergies }) => (inputEnergies?.length ?? 0) + (outputEnergies?.length ?? 0),
  // A measurement that goes on tells all its probes and layers again: the page begins afresh, with the same numbers.
  same: (before, after) =>
    before.network.identity === after.network.identity &&
    before.resumedProbes === after.resumedProbes &&
    sameNames(namesOf(before), namesOf(after)),
};

/** The state of a panel's measurement, and the page's way to it. */
export class UtilizationFeed extends LayerFeed<OpenedMeasurement, PageUtilization, Ending, ToUtilization> {
  private probes: PageProbe[] = [];
  private sentProbes = 0;
  private stage: UtilizationStage | undefined;
  private sentStage: UtilizationStage | undefined;

  constructor(post: (message: ToUtilization) => void, timing?: FeedTiming) {
    super(post, WORDS, timing);
  }

  layer(index: number, { inputEnergies, outputEnergies, probes: _, ...facts }: LayerUtilization): void {
    this.add(index, {
      ...facts,
      ...(inputEnergies !== undefined && { inputEnergies: Float64Array.from(inputEnergies) }),
      ...(outputEnergies !== undefined && { outputEnergies: Float64Array.from(outputEnergies) }),
    });
  }

  probed(probe: PageProbe): void {
    this.probes.push(probe);
    this.schedule();
  }

  reached(stage: UtilizationStage): void {
    this.stage = stage;
    this.schedule();
  }

  get document(): UtilizationDocument | undefined {
    return this.ending?.type === 'done' ? this.ending.document : undefined;
  }

  get state(): UtilizationState {
    const { opened, progress, ending, document, stage } = this;
    return {
      status: ending?.type ?? (opened === undefined ? 'opening' : 'running'),
      finishedLayers: this.layers.size,
      probes: this.probes.length,
      notices: [...this.notices],
      ...(opened !== undefined && { opened }),
      ...(stage !== undefined && { stage }),
      ...(progress !== undefined && { progress }),
      ...(document !== undefined && { document }),
      ...(ending?.type === 'failed' && { message: ending.message }),
    };
  }

  protected override forgetMore(): void {
    this.probes = [];
    this.stage = undefined;
  }

  protected override sendMoreAgain(): void {
    this.sentProbes = 0;
    this.sentStage = undefined;
  }

  protected override more(): ToUtilization[] {
    const messages: ToUtilization[] = [];
    const probes = this.probes.slice(this.sentProbes);
    this.sentProbes = this.probes.length;
    if (probes.length > 0) messages.push({ type: 'probes', probes });
    if (this.stage !== undefined && this.stage !== this.sentStage) {
      this.sentStage = this.stage;
      messages.push({ type: 'stage', stage: this.stage });
    }
    return messages;
  }
}

function namesOf({ layers }: OpenedMeasurement): readonly string[] {
  return layers.map(({ name }) => name);
}
