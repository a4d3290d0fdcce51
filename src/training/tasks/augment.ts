import type { AugmentRecipe } from '../recipe';
import { below, derivedStream, uniform } from './randomness';

/**
 * A picture moved within a border of zeros and mirrored, as its seed and its place in the epoch say. Zeros are those of
 * the normalised picture, its mean colour where the mean was taken off (He et al., 2016, §4.2).
 *
 * @param picture one, height × width × channels; changed in place
 */
export class Augmentation {
  private readonly copy: Float32Array;

  constructor(
    private readonly recipe: AugmentRecipe,
    private readonly shape: readonly [height: number, width: number, channels: number],
  ) {
    this.copy = new Float32Array(shape[0] * shape[1] * shape[2]);
  }

  apply(picture: Float32Array, seed: number, epoch: number, place: number): void {
    const { flip = false, crop = 0 } = this.recipe;
    const stream = derivedStream(seed, 'augmentation', epoch, place);
    // All three are drawn whatever is asked for, so that one setting does not change what another does.
    const isMirrored = uniform(stream) < 0.5 && flip;
    const down = below(stream, 2 * crop + 1) - crop;
    const right = below(stream, 2 * crop + 1) - crop;
    this.copy.set(picture);
    this.move(picture, down, right, isMirrored);
  }

  /** picture[y][x] = copy[y + down][x + right], x counted from the other side when mirrored. */
  private move(picture: Float32Array, down: number, right: number, isMirrored: boolean): void {
    const [height, width, channels] = this.shape;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const target = (y * width + (isMirrored ? width - 1 - x : x)) * channels;
        const isInside = y + down >= 0 && y + down < height && x + right >= 0 && x + right < width;
        const source = ((y + down) * width + x + right) * channels;
        for (let c = 0; c < channels; c++) picture[target + c] = isInside ? (this.copy[source + c] ?? 0) : 0;
      }
    }
  }
}
