/** Posed pictures of one scene: a NumPy archive, or a folder as the Blender scenes of NeRF come. */
import { stat } from 'node:fs/promises';
import { CheckpointError } from '../../../checkpoint/errors';
import { ioError } from '../../../checkpoint/file';
import { openBlenderViews } from './blenderViews';
import { openNpzViews } from './npzViews';

/** Pictures with the cameras that took them. */
export interface ViewSet {
  /** Row-major 4 × 4, camera to world; the camera looks along its −z, y is up (Blender, OpenGL). */
  readonly poses: readonly Float64Array[];
  /** height × width × 4 of each: colour times opacity, then opacity, in 65535ths. */
  readonly pixels: readonly Uint16Array[];
}

export interface Views {
  /** Of the pictures as they are kept, after they were made smaller. */
  readonly height: number;
  readonly width: number;
  /** In pixels of that size. */
  readonly focal: number;
  /** Where the optical axis meets the picture, [x, y], in the same pixels from its upper left corner. */
  readonly centre: readonly [number, number];
  readonly train: ViewSet;
  readonly test: ViewSet;
  readonly notes: readonly string[];
  /** Hex sha256 over the files that were read. */
  readonly identity: string;
}

export interface ViewOptions {
  /** Side of the squares of pixels that become one. */
  readonly downscale: number;
  /** Test views at most; taken evenly from all. */
  readonly testViews: number;
}

/**
 * @throws CheckpointError with one line that names file and place
 * @throws the signal's reason when it is aborted
 */
export async function openViews(given: string, options: ViewOptions, signal: AbortSignal): Promise<Views> {
  signal.throwIfAborted();
  const isFolder = await stat(given).then(
    (facts) => facts.isDirectory(),
    (error: unknown) => {
      throw ioError(error, given);
    },
  );
  const views = await (isFolder ? openBlenderViews : openNpzViews)(given, options, signal);
  if (views.train.poses.length > 0 && views.test.poses.length > 0) return views;
  throw new CheckpointError('malformed', 'training and test views are needed, one of each at least', {
    file: given,
  });
}

/** So many of a row, evenly spread, the first among them. */
export function evenly<T>(all: readonly T[], most: number): readonly T[] {
  if (all.length <= most) return all;
  return Array.from({ length: most }, (_, i) => Math.floor((i * all.length) / most)).flatMap((at) => {
    const item = all[at];
    return item === undefined ? [] : [item];
  });
}

/** A camera that is one. @throws CheckpointError through `fail` */
export function requirePose(
  values: ArrayLike<number>,
  fail: (reason: string) => CheckpointError,
): Float64Array {
  // The last row of a 4 × 4 is (0, 0, 0, 1), and left out by some.
  const pose = Float64Array.from({ length: 16 }, (_, i) => values[i] ?? (i === 15 ? 1 : 0));
  if (!pose.every(Number.isFinite)) throw fail('a pose with numbers that are not finite');
  for (let axis = 0; axis < 3; axis++) {
    const column = [0, 1, 2].map((row) => pose[4 * row + axis] ?? 0);
    const length = Math.hypot(...column);
    if (!(length > 1e-6 && length < 1e6)) throw fail(`a pose whose axis ${axis} has length ${length}`);
  }
  return pose;
}

/** In pixels. @throws CheckpointError through `fail` */
export function requireFocal(focal: number, fail: (reason: string) => CheckpointError): number {
  if (Number.isFinite(focal) && focal > 0) return focal;
  throw fail(`a focal length of ${focal} pixels`);
}
