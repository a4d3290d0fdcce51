/** The utilization of each layer as a run trains: a strip of layers × time. */
import type { LayersTold } from '../protocol';

/** What is known of one layer at one moment. */
export interface LayerMoment {
  readonly name: string;
  readonly step: number;
  readonly utilized: number;
  readonly rank: number;
  readonly maxRank: number;
  /** Of the most possible, 0 … 1. */
  readonly utilizedShare: number;
  readonly rankShare: number;
}

export function layerMoment(
  { names, steps, maxRanks, utilized, ranks }: LayersTold,
  layer: number,
  moment: number,
): LayerMoment | undefined {
  const [name, step, maxRank] = [names[layer], steps[moment], maxRanks[layer]];
  if (name === undefined || step === undefined || maxRank === undefined) return undefined;
  const at = moment * names.length + layer;
  const [used, rank] = [utilized[at] ?? 0, ranks[at] ?? 0];
  const share = (value: number): number => (maxRank > 0 ? Math.max(0, Math.min(1, value / maxRank)) : 0);
  return {
    ...{ name, step, maxRank, utilized: used, rank },
    ...{ utilizedShare: share(used), rankShare: share(rank) },
  };
}

/** Means over the layers at a moment. */
export interface MeanMoment {
  readonly step: number;
  readonly utilized: number;
  readonly rank: number;
  /** Layer that is used least, by its place. */
  readonly least: number;
}

export function meanMoments(told: LayersTold): readonly MeanMoment[] {
  return told.steps.map((step, moment) => {
    let [utilized, rank, least, leastShare] = [0, 0, 0, Infinity];
    told.names.forEach((_, layer) => {
      const here = layerMoment(told, layer, moment);
      if (here === undefined) return;
      utilized += here.utilizedShare;
      rank += here.rankShare;
      if (here.utilizedShare < leastShare) [least, leastShare] = [layer, here.utilizedShare];
    });
    const layers = Math.max(1, told.names.length);
    return { step, least, utilized: utilized / layers, rank: rank / layers };
  });
}

/**
 * The strip as a picture, a pixel a layer and moment: RGBA, layers from the top, moments from the left.
 *
 * @param colour of a share of 0 … 1: red, green, blue
 */
export function stripPixels(
  told: LayersTold,
  colour: (share: number) => readonly [red: number, green: number, blue: number],
): Uint8ClampedArray<ArrayBuffer> {
  const [layers, moments] = [told.names.length, told.steps.length];
  const pixels = new Uint8ClampedArray(layers * moments * 4);
  for (let moment = 0; moment < moments; moment++)
    for (let layer = 0; layer < layers; layer++) {
      const share = layerMoment(told, layer, moment)?.utilizedShare ?? 0;
      pixels.set([...colour(share), 255], (layer * moments + moment) * 4);
    }
  return pixels;
}
