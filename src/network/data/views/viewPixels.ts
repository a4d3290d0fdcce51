import { CheckpointError } from '../../../checkpoint/errors';

/** All pictures together: 200 of 800 × 800 pixels. */
const MAX_BYTES = 2 ** 30;
const FULL = 65_535;

export interface PixelRequest {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly downscale: number;
}

/** Height and width after squares of pixels became one; what is left over at the right and below falls away. */
export function smallerSize({ height, width, downscale }: PixelRequest): [number, number] {
  return [Math.floor(height / downscale), Math.floor(width / downscale)];
}

/** @throws CheckpointError for pictures that are none, and for more of them than are held in memory */
export function requireViews(request: PixelRequest, views: number, file: string): void {
  const { height, width, channels, downscale } = request;
  const [rows, columns] = smallerSize(request);
  if (rows < 1 || columns < 1) {
    const reason = `pictures of ${height} × ${width} pixels have none left when made ${downscale} times smaller`;
    throw new CheckpointError('malformed', reason, { file });
  }
  if (![1, 2, 3, 4].includes(channels))
    throw new CheckpointError('malformed', `pictures of ${channels} channels`, { file });
  const bytes = 8 * rows * columns * views;
  if (bytes <= MAX_BYTES) return;
  const reason = `${views} pictures of ${rows} × ${columns} pixels are more than ${MAX_BYTES} bytes: raise "downscale"`;
  throw new CheckpointError('unsupported', reason, { file });
}

/**
 * A picture of grey or colour, with or without opacity, as a view keeps it: squares of pixels are averaged after colour
 * was multiplied by opacity, so that the invisible colour of empty pixels counts nothing. 16 bits: their rounding lies
 * 100 dB below white.
 *
 * @param full the value of white and of what is opaque
 * @throws CheckpointError through `fail` for values outside 0 … full
 */
export function viewPixels(
  values: ArrayLike<number>,
  request: PixelRequest,
  full: number,
  fail: (reason: string) => CheckpointError,
): Uint16Array {
  const { width, channels, downscale } = request;
  const [rows, columns] = smallerSize(request);
  const hasAlpha = channels === 2 || channels === 4;
  const result = new Uint16Array(4 * rows * columns);
  const sum = new Float64Array(4);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      sum.fill(0);
      for (let y = row * downscale; y < (row + 1) * downscale; y++) {
        for (let x = column * downscale; x < (column + 1) * downscale; x++) {
          const at = (y * width + x) * channels;
          const alpha = hasAlpha ? (values[at + channels - 1] ?? 0) / full : 1;
          for (let c = 0; c < 3; c++) {
            const colour = (values[channels < 3 ? at : at + c] ?? 0) / full;
            sum[c] = (sum[c] ?? 0) + colour * alpha;
          }
          sum[3] = (sum[3] ?? 0) + alpha;
        }
      }
      for (let c = 0; c < 4; c++) {
        const mean = (sum[c] ?? 0) / downscale ** 2;
        if (!(mean >= 0 && mean <= 1))
          throw fail(`a colour outside 0 … ${full} in row ${row}, column ${column}`);
        result[4 * (row * columns + column) + c] = Math.round(FULL * mean);
      }
    }
  }
  return result;
}
