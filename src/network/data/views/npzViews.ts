import { createHash } from 'node:crypto';
import type { Checkpoint, Tensor } from '../../../checkpoint/checkpoint';
import { CheckpointError } from '../../../checkpoint/errors';
import { withFile } from '../../../checkpoint/file';
import { findNpyEntries, openNpz } from '../../../checkpoint/formats/numpy';
import { ZipArchive } from '../../../checkpoint/zip';
import { fileContents } from '../contents';
import { NumberArray, readNumbers } from '../numberArray';
import { Pauses } from '../pauses';
import { requireViews, smallerSize, viewPixels } from './viewPixels';
import { evenly, requireFocal, requirePose, type ViewOptions, type Views, type ViewSet } from './views';

/** Without test views of its own, every so many-th picture is one. */
const HELD_OUT_EVERY = 8;
/** More would not be read anyway. */
const MAX_VIEWS = 100_000;

/** Pictures and poses that belong together. */
interface Part {
  readonly images: Tensor;
  readonly poses: Tensor;
}

interface Camera {
  readonly height: number;
  readonly width: number;
  readonly focal: number;
}

/**
 * `images_train` and `poses_train` with `…_test` (or `…_val`), or `images` and `poses` of which every eighth is held out;
 * `focal` in pixels or `camera_angle_x` in radians. Pictures N × H × W × 1 … 4, bytes or 0 … 1; poses N × 4 × 4 or
 * N × 3 × 4.
 *
 * @throws CheckpointError naming file and array
 */
export async function openNpzViews(
  file: string,
  { downscale, testViews }: ViewOptions,
  signal: AbortSignal,
): Promise<Views> {
  const arrays = await openArchive(file);
  const own = partOf(arrays, ['_train']);
  const train = own ?? partOf(arrays, ['']);
  if (train === undefined) {
    const names = arrays.tensors.map(({ name }) => name).join(', ');
    const reason = `no "images_train" and "poses_train", nor "images" and "poses", but ${names}`;
    throw new CheckpointError('malformed', reason, { file });
  }
  const notes: string[] = [];
  const separate = own === undefined ? undefined : partOf(arrays, ['_test', '_val']);
  if (separate === undefined)
    notes.push(`no test views in the file: every ${HELD_OUT_EVERY}th picture is held out`);
  const chosen = choose(train, separate, testViews);
  const camera = await cameraOf(arrays, train.images);
  const request = { ...camera, channels: train.images.shape[3] ?? 0, downscale };
  requireViews(request, chosen.train.length + chosen.test.length, file);
  const pauses = new Pauses(signal);
  const identity = createHash('sha256');
  for await (const part of fileContents([file])) identity.update(part);
  const [height, width] = smallerSize(request);
  return {
    height,
    width,
    focal: camera.focal / downscale,
    centre: [camera.width / 2 / downscale, camera.height / 2 / downscale],
    train: await readSet(train, chosen.train, request, pauses),
    test: await readSet(separate ?? train, chosen.test, request, pauses),
    notes,
    identity: identity.digest('hex'),
  };
}

async function openArchive(file: string): Promise<Checkpoint> {
  return withFile(file, async (opened) => {
    const entries = findNpyEntries(await ZipArchive.open(opened));
    if (entries !== undefined) return openNpz(await ZipArchive.open(opened), entries);
    const reason = 'no views: a NumPy archive (.npz) or a folder with transforms_train.json is read';
    throw new CheckpointError('unsupported', reason, { file });
  });
}

function partOf({ tensors }: Checkpoint, endings: readonly string[]): Part | undefined {
  for (const ending of endings) {
    const images = tensors.find((tensor) => tensor.name === `images${ending}`);
    const poses = tensors.find((tensor) => tensor.name === `poses${ending}`);
    if (images === undefined || poses === undefined) continue;
    requireShapes(images, poses);
    return { images, poses };
  }
  return undefined;
}

function requireShapes(images: Tensor, poses: Tensor): void {
  const fail = (tensor: Tensor, wanted: string): CheckpointError => {
    const reason = `shape [${tensor.shape.join(', ')}], not ${wanted}`;
    return new CheckpointError('malformed', reason, { file: tensor.storage.path, tensor: tensor.name });
  };
  const [views = 0] = images.shape;
  if (images.shape.length !== 4 || views < 1 || views > MAX_VIEWS)
    throw fail(images, '[views, height, width, channels]');
  const [count, rows = 0, columns] = poses.shape;
  if (poses.shape.length !== 3 || count !== views || (rows !== 3 && rows !== 4) || columns !== 4)
    throw fail(poses, `[${views}, 4, 4]: a pose for each picture`);
}

/** Indices of the views that are read, each of the part that it is in. */
function choose(
  train: Part,
  test: Part | undefined,
  testViews: number,
): { readonly train: readonly number[]; readonly test: readonly number[] } {
  const all = viewsOf(train);
  if (test !== undefined) return { train: all, test: evenly(viewsOf(test), testViews) };
  const isHeldOut = (view: number): boolean => view % HELD_OUT_EVERY === 0;
  return { train: all.filter((view) => !isHeldOut(view)), test: evenly(all.filter(isHeldOut), testViews) };
}

function viewsOf({ images }: Part): readonly number[] {
  return Array.from({ length: images.shape[0] ?? 0 }, (_, view) => view);
}

async function cameraOf({ tensors, path }: Checkpoint, images: Tensor): Promise<Camera> {
  const [, height = 0, width = 0] = images.shape;
  const fail = (reason: string): CheckpointError => new CheckpointError('malformed', reason, { file: path });
  const scalar = async (name: string): Promise<number | undefined> => {
    const tensor = tensors.find((one) => one.name === name);
    if (tensor === undefined || tensor.shape.some((size) => size !== 1)) return undefined;
    return (await readNumbers(tensor))[0];
  };
  const focal = await scalar('focal');
  const angle = await scalar('camera_angle_x');
  if (focal === undefined && angle === undefined)
    throw fail('neither "focal" (pixels) nor "camera_angle_x" (radians), as one number');
  return { height, width, focal: requireFocal(focal ?? width / 2 / Math.tan((angle ?? 0) / 2), fail) };
}

async function readSet(
  { images, poses }: Part,
  views: readonly number[],
  request: Parameters<typeof viewPixels>[1],
  pauses: Pauses,
): Promise<ViewSet> {
  const file = images.storage.path;
  const fail = (tensor: Tensor) => (reason: string) =>
    new CheckpointError('malformed', reason, { file, tensor: tensor.name });
  const [, height, width, channels] = images.shape;
  if (height !== request.height || width !== request.width || channels !== request.channels)
    throw fail(images)(`pictures of another size than those of training, [${images.shape.join(', ')}]`);
  const matrices = await readNumbers(poses);
  const size = matrices.length / Math.max(1, poses.shape[0] ?? 1);
  const array = await NumberArray.open(images);
  try {
    const pixels: Uint16Array[] = [];
    for (const view of views) {
      if (pauses.isDue) await pauses.pause();
      const values = await array.read(view, view + 1);
      pixels.push(viewPixels(values, request, images.dtype === 'uint8' ? 255 : 1, fail(images)));
    }
    return {
      pixels,
      poses: views.map((view) => requirePose(matrices.subarray(view * size, (view + 1) * size), fail(poses))),
    };
  } finally {
    await array.close();
  }
}
