/** Rays through the pixels of posed pictures. */
import type { Views, ViewSet } from '../../network/data/views/views';

const FULL = 65_535;

/** Where rays begin, where they point, and what they meet; n rays, row-major. */
export interface Rays {
  readonly count: number;
  /** n × 3, in the scene's units. */
  readonly origins: Float64Array;
  /** n × 3, of length 1. */
  readonly directions: Float64Array;
  /** n × 4: colour times opacity, and opacity, 0 … 1. */
  readonly pixels: Float32Array;
}

export function emptyRays(count: number): Rays {
  return {
    count,
    origins: new Float64Array(3 * count),
    directions: new Float64Array(3 * count),
    pixels: new Float32Array(4 * count),
  };
}

/**
 * The ray through the centre of a pixel: in the camera's own axes it points to ((x + ½ − c_x)/f, −(y + ½ − c_y)/f, −1).
 *
 * @param pixel y·width + x
 * @param at which of the rays it becomes
 */
export function writeRay(
  views: Views,
  { poses, pixels }: ViewSet,
  view: number,
  pixel: number,
  rays: Rays,
  at: number,
): void {
  const { width, focal, centre } = views;
  const y = Math.floor(pixel / width);
  const across = (pixel - y * width + 0.5 - centre[0]) / focal;
  const up = -(y + 0.5 - centre[1]) / focal;
  const pose = poses[view];
  let length = 0;
  for (let axis = 0; axis < 3; axis++) {
    const row = 4 * axis;
    const direction = (pose?.[row] ?? 0) * across + (pose?.[row + 1] ?? 0) * up - (pose?.[row + 2] ?? 0);
    rays.directions[3 * at + axis] = direction;
    rays.origins[3 * at + axis] = pose?.[row + 3] ?? 0;
    length += direction * direction;
  }
  for (let axis = 0; axis < 3; axis++)
    rays.directions[3 * at + axis] = (rays.directions[3 * at + axis] ?? 0) / Math.sqrt(length);
  for (let c = 0; c < 4; c++) rays.pixels[4 * at + c] = (pixels[view]?.[4 * pixel + c] ?? 0) / FULL;
}

/**
 * Pixels of a picture on a coarser grid, evenly over its area, `most` at the most and one at least.
 *
 * @returns y·width + x
 */
export function evenPixels(height: number, width: number, most: number): Uint32Array {
  if (most >= height * width) return Uint32Array.from({ length: height * width }, (_, i) => i);
  const columns = Math.max(1, Math.min(width, most, Math.round(Math.sqrt((most * width) / height))));
  const rows = Math.max(1, Math.min(height, Math.floor(most / columns)));
  return Uint32Array.from({ length: rows * columns }, (_, i) => {
    const y = Math.floor(((Math.floor(i / columns) + 0.5) * height) / rows);
    return y * width + Math.floor((((i % columns) + 0.5) * width) / columns);
  });
}
