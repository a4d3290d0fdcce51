import type { Picture } from './picture';

/**
 * A picture at another size: bilinear between pixel centres, edges repeated, no low-pass filter before. The same as
 * `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` and TensorFlow's half-pixel centres.
 */
export function resize(picture: Picture, height: number, width: number): Picture {
  if (picture.width === width && picture.height === height) return picture;
  const { channels, values } = picture;
  const [rows, columns] = [taps(picture.height, height), taps(picture.width, width)];
  const result = new Float32Array(height * width * channels);
  for (let y = 0; y < height; y++) {
    const row = tapAt(rows, y);
    for (let x = 0; x < width; x++) {
      const column = tapAt(columns, x);
      for (let c = 0; c < channels; c++) {
        const at = (line: number, place: number): number =>
          values[(line * picture.width + place) * channels + c] ?? 0;
        const top = mix(at(row.low, column.low), at(row.low, column.high), column.share);
        const bottom = mix(at(row.high, column.low), at(row.high, column.high), column.share);
        result[(y * width + x) * channels + c] = mix(top, bottom, row.share);
      }
    }
  }
  return { width, height, channels, values: result };
}

/** The two pixels that one output pixel lies between, and how near it is to the second. */
interface Tap {
  readonly low: number;
  readonly high: number;
  readonly share: number;
}

function taps(from: number, to: number): readonly Tap[] {
  return Array.from({ length: to }, (_, i) => {
    const centre = Math.max(0, ((i + 0.5) * from) / to - 0.5);
    const low = Math.min(from - 1, Math.floor(centre));
    return { low, high: Math.min(from - 1, low + 1), share: centre - low };
  });
}

const NO_TAP: Tap = { low: 0, high: 0, share: 0 };

function tapAt(all: readonly Tap[], i: number): Tap {
  return all[i] ?? NO_TAP;
}

function mix(a: number, b: number, share: number): number {
  return a + (b - a) * share;
}
