import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { CheckpointError, printable } from '../../../checkpoint/errors';
import { JsonReader } from '../../../checkpoint/json';
import type { Fail } from '../images/picture';
import { decodePng, decodePngWithAlpha, looksLikePng } from '../images/png';
import { Pauses } from '../pauses';
import { readWholeFile } from '../wholeFile';
import { type PixelRequest, requireViews, smallerSize, viewPixels } from './viewPixels';
import { evenly, requireFocal, requirePose, type ViewOptions, type Views, type ViewSet } from './views';

/** A frame takes 500 bytes. */
const MAX_TRANSFORMS_BYTES = 64 * 1024 * 1024;
const MAX_PICTURE_BYTES = 64 * 1024 * 1024;

interface Frame {
  /** Absolute. */
  readonly picture: string;
  readonly pose: Float64Array;
}

interface Transforms {
  /** Radians across a picture's width. */
  readonly angle: number;
  readonly frames: readonly Frame[];
}

/** Pictures of a set while they are read; all must have the size of the first. */
interface Reading {
  readonly downscale: number;
  readonly identity: { update(data: Uint8Array): unknown };
  readonly pauses: Pauses;
  size: PixelRequest | undefined;
}

/**
 * A folder with `transforms_train.json`, `transforms_test.json` (or `…_val.json`) and the PNGs that they name.
 *
 * @throws CheckpointError naming the file
 */
export async function openBlenderViews(
  folder: string,
  { downscale, testViews }: ViewOptions,
  signal: AbortSignal,
): Promise<Views> {
  const identity = createHash('sha256');
  const testFile = ['transforms_test.json', 'transforms_val.json'].find((name) =>
    existsSync(path.join(folder, name)),
  );
  const train = await readTransforms(folder, 'transforms_train.json', identity);
  const test = await readTransforms(folder, testFile ?? 'transforms_test.json', identity);
  const reading: Reading = { downscale, identity, pauses: new Pauses(signal), size: undefined };
  const frames = { train: train.frames, test: evenly(test.frames, testViews) };
  const count = frames.train.length + frames.test.length;
  const sets = {
    train: await readFrames(frames.train, count, reading),
    test: await readFrames(frames.test, count, reading),
  };
  const { size } = reading;
  const file = path.join(folder, 'transforms_train.json');
  if (size === undefined) throw new CheckpointError('malformed', 'no frames', { file });
  const focal = requireFocal(
    size.width / 2 / Math.tan(train.angle / 2),
    (reason) => new CheckpointError('malformed', reason, { file }),
  );
  const [height, width] = smallerSize(size);
  return {
    height,
    width,
    focal: focal / downscale,
    centre: [size.width / 2 / downscale, size.height / 2 / downscale],
    ...sets,
    notes:
      testFile === 'transforms_val.json' ? ['no test views: those of transforms_val.json are taken'] : [],
    identity: identity.digest('hex'),
  };
}

async function readTransforms(
  folder: string,
  name: string,
  identity: Reading['identity'],
): Promise<Transforms> {
  const file = path.join(folder, name);
  const bytes = await readWholeFile(file, MAX_TRANSFORMS_BYTES, 'a file of poses');
  identity.update(bytes);
  let angle: number | undefined;
  const frames: Frame[] = [];
  try {
    const json = new JsonReader(bytes);
    json.object((key) => {
      if (key === 'camera_angle_x') angle = json.number();
      else if (key === 'frames')
        json.array(() => {
          frames.push(readFrame(json, folder));
        });
      else json.skip();
    });
    json.end();
    if (angle === undefined) throw new CheckpointError('malformed', '"camera_angle_x" is missing');
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file }) : error;
  }
  return { angle, frames };
}

function readFrame(json: JsonReader, folder: string): Frame {
  let name: string | undefined;
  const numbers: number[] = [];
  json.object((key) => {
    if (key === 'file_path') name = json.string();
    else if (key === 'transform_matrix')
      json.array(() => {
        json.array(() => {
          numbers.push(json.number());
        });
      });
    else json.skip();
  });
  const fail = (reason: string): CheckpointError => new CheckpointError('malformed', reason);
  if (name === undefined) throw fail('a frame without "file_path"');
  if (numbers.length !== 16 && numbers.length !== 12)
    throw fail(`"transform_matrix" of ${numbers.length} numbers, not 4 × 4`);
  const picture = path.resolve(folder, /\.png$/i.test(name) ? name : `${name}.png`);
  const inside = path.relative(folder, picture);
  // What a file says must not reach beyond the folder that a person chose.
  if (inside.startsWith('..') || path.isAbsolute(inside) || name.includes('\0'))
    throw fail(`a picture outside the folder: ${printable(name)}`);
  return { picture, pose: requirePose(numbers, fail) };
}

async function readFrames(frames: readonly Frame[], count: number, reading: Reading): Promise<ViewSet> {
  const pixels: Uint16Array[] = [];
  for (const { picture } of frames) {
    await reading.pauses.pause();
    pixels.push(await readPicture(picture, count, reading));
  }
  return { pixels, poses: frames.map(({ pose }) => pose) };
}

async function readPicture(file: string, count: number, reading: Reading): Promise<Uint16Array> {
  const bytes = await readWholeFile(file, MAX_PICTURE_BYTES, 'a picture');
  reading.identity.update(bytes);
  const fail: Fail = (kind, reason, cause) => new CheckpointError(kind, reason, { file }, { cause });
  if (!looksLikePng(bytes)) throw fail('malformed', 'no PNG');
  const { width, height, channels, values } = decodePngWithAlpha(bytes, fail) ?? decodePng(bytes, fail);
  const request = { width, height, channels, downscale: reading.downscale };
  if (reading.size === undefined) requireViews(request, count, file);
  else if (reading.size.width !== width || reading.size.height !== height)
    throw fail(
      'unsupported',
      `${height} × ${width} pixels, not ${reading.size.height} × ${reading.size.width} as the first`,
    );
  reading.size = request;
  return viewPixels(values, request, 255, (reason) => fail('malformed', reason));
}
