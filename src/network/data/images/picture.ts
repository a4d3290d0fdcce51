import type { CheckpointError } from '../../../checkpoint/errors';

/** Pixels of one picture, row by row, channels last; 0 … 255, with fractions where the file is finer than bytes. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly values: Uint8Array | Float32Array;
}

/** Makes an error that names the picture. */
export type Fail = (kind: 'malformed' | 'unsupported', reason: string, cause?: unknown) => CheckpointError;

/** 33 million pixels, an 8K frame: a picture for training has a thousandth of that, a bomb more. */
export const MAX_PIXELS = 2 ** 25;

/** @throws for pictures without pixels, and for those that claim more than are read */
export function requireReasonableSize(width: number, height: number, fail: Fail): void {
  if (width < 1 || height < 1) throw fail('malformed', `a picture of ${width} × ${height} pixels`);
  if (width * height > MAX_PIXELS)
    throw fail('unsupported', `a picture of ${width} × ${height} pixels: at most ${MAX_PIXELS} are read`);
}

/** In one channel or three. Grey is the luma of ITU-R BT.601 in 16-bit integer weights, as PIL's `convert("L")` has it. */
export function withChannels(picture: Picture, channels: 1 | 3): Picture {
  if (picture.channels === channels) return picture;
  const { width, height, values } = picture;
  const pixels = width * height;
  if (channels === 3) {
    const rgb = similar(values, 3 * pixels);
    for (let i = 0; i < pixels; i++) rgb.fill(values[i] ?? 0, 3 * i, 3 * i + 3);
    return { width, height, channels, values: rgb };
  }
  const isWhole = values instanceof Uint8Array;
  const grey = similar(values, pixels);
  for (let i = 0; i < pixels; i++) {
    const [r = 0, g = 0, b = 0] = [values[3 * i], values[3 * i + 1], values[3 * i + 2]];
    const luma = 19_595 * r + 38_470 * g + 7471 * b;
    grey[i] = isWhole ? (luma + 0x8000) >> 16 : luma / 65_536;
  }
  return { width, height, channels, values: grey };
}

function similar(values: Uint8Array | Float32Array, length: number): Uint8Array | Float32Array {
  return values instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
}
