import { EpochOrder } from './permutation';
import { below, derivedStream } from './randomness';

/**
 * Windows of a text, one beside the other; where the first begins is drawn for each epoch, so that over the epochs a
 * character is seen in every place of a window.
 */
export class WindowOrder {
  private readonly order: EpochOrder;

  /** @param length of the text, more than `context` */
  constructor(
    private readonly length: number,
    private readonly context: number,
    readonly seed: number,
  ) {
    this.order = new EpochOrder(windowsOf(length, context), seed);
  }

  /** The epoch, the place in it, and where the window begins that stands there. */
  at(position: number): { readonly epoch: number; readonly place: number; readonly start: number } {
    const { epoch, place } = this.order.placeOf(position);
    const slack = this.length - 1 - this.order.samples * this.context;
    const offset = below(derivedStream(this.seed, 'offset', epoch), slack + 1);
    return { epoch, place, start: offset + this.order.sampleAt(position) * this.context };
  }
}

/** Windows of an epoch, each with the token that follows it: as many as there are wherever the first begins. */
export function windowsOf(length: number, context: number): number {
  return Math.max(1, Math.floor((length - context) / context));
}
