/** Posed pictures of a scene: archives and folders, and what of them is refused. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError } from '../../src/checkpoint/errors';
import { decodePng, decodePngWithAlpha } from '../../src/network/data/images/png';
import { openViews, type ViewOptions, type Views } from '../../src/network/data/views/views';
import { viewPixels } from '../../src/network/data/views/viewPixels';
import { type EntryRecipe, temporaryFolder, zip } from '../fixtures/handmade';
import { DATA_FIXTURES } from '../reference/networkReferences';
import { trainingReferences } from '../reference/trainingReferences';
import { float32Bytes, float64Bytes, npyEntry, png } from './trainingFiles';

const { folder, write } = temporaryFolder();
const signal = new AbortController().signal;
const plain: ViewOptions = { downscale: 1, testViews: 25 };

const POSE = [1, 0, 0, 0.5, 0, 1, 0, -1, 0, 0, 1, 4, 0, 0, 0, 1];

function open(file: string, options: Partial<ViewOptions> = {}): Promise<Views> {
  return openViews(file, { ...plain, ...options }, signal);
}

async function refuses(file: string, reason: RegExp, options: Partial<ViewOptions> = {}): Promise<void> {
  await assert.rejects(open(file, options), (error: unknown) => {
    assert.ok(error instanceof CheckpointError, String(error));
    assert.match(error.message, reason);
    assert.ok(!error.message.includes('\n') && error.message.includes(folder), error.message);
    return true;
  });
}

/** Views of 2 × 4 pixels, each of one colour. */
function images(name: string, count: number, channels = 4, first = 0): EntryRecipe {
  const pixels = Buffer.alloc(count * 8 * channels);
  for (let i = 0; i < pixels.length; i++) pixels[i] = first + Math.floor(i / (8 * channels));
  return npyEntry(name, '|u1', [count, 2, 4, channels], pixels);
}

function poses(name: string, count: number, rows = 4, change: readonly number[] = POSE): EntryRecipe {
  const all = Array.from({ length: count }, () => change.slice(0, 4 * rows)).flat();
  return npyEntry(name, '<f4', [count, rows, 4], float32Bytes(all));
}

const FOCAL = npyEntry('focal', '<f8', [], float64Bytes([5]));

const archive = (name: string, ...entries: readonly EntryRecipe[]): string => write(name, zip(entries));

describe('pixels of a view', () => {
  const fail = (reason: string): CheckpointError => new CheckpointError('malformed', reason);

  test('are colour times opacity, averaged over squares', () => {
    // 2 × 2 pixels: opaque red, half-transparent green, and two that nobody sees.
    const pixels = [255, 0, 0, 255, 0, 255, 0, 128, 9, 99, 255, 0, 255, 255, 255, 0];
    const half = 128 / 255;
    const found = viewPixels(pixels, { height: 2, width: 2, channels: 4, downscale: 2 }, 255, fail);
    assert.deepEqual(
      [...found],
      [0.25, half / 4, 0, (1 + half) / 4].map((value) => Math.round(65_535 * value)),
    );
    const whole = viewPixels(pixels, { height: 2, width: 2, channels: 4, downscale: 1 }, 255, fail);
    assert.deepEqual([...whole.subarray(0, 4)], [65_535, 0, 0, 65_535]);
    assert.deepEqual([...whole.subarray(8)], [0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test('are grey, colour, fractions, and cut where squares do not fit', () => {
    const grey = viewPixels([0.5, 1, 0], { height: 1, width: 3, channels: 1, downscale: 1 }, 1, fail);
    assert.deepEqual(
      [...grey.subarray(0, 8)],
      [32_768, 32_768, 32_768, 65_535, 65_535, 65_535, 65_535, 65_535],
    );
    const odd = viewPixels(
      new Array(45).fill(255),
      { height: 3, width: 5, channels: 3, downscale: 2 },
      255,
      fail,
    );
    assert.deepEqual([...odd], new Array(8).fill(65_535));
  });

  test('are refused outside their range', () => {
    for (const value of [1.5, -0.1, NaN])
      assert.throws(
        () => viewPixels([0, value], { height: 1, width: 2, channels: 1, downscale: 1 }, 1, fail),
        /a colour outside 0 … 1 in row 0, column 1/,
      );
  });
});

test('a PNG keeps its opacity, and its colours are the same', () => {
  const fail = (kind: 'malformed' | 'unsupported', reason: string): CheckpointError =>
    new CheckpointError(kind, reason);
  for (const [name, wanted] of Object.entries(trainingReferences().opacity)) {
    const bytes = readFileSync(path.join(DATA_FIXTURES, `${name}.png`));
    const picture = decodePngWithAlpha(bytes, fail);
    assert.ok(picture !== undefined);
    const { channels, values } = picture;
    assert.deepEqual([...values.filter((_, i) => i % channels === channels - 1)], wanted);
    assert.deepEqual(
      values.filter((_, i) => i % channels < channels - 1),
      decodePng(bytes, fail).values,
    );
  }
  assert.equal(decodePngWithAlpha(readFileSync(path.join(DATA_FIXTURES, 'rgb.png')), fail), undefined);
});

describe('views in a NumPy archive', () => {
  test('with test views of their own, some of them', async () => {
    const file = archive(
      'views.npz',
      ...[images('images_train', 3), poses('poses_train', 3)],
      ...[images('images_test', 10, 4, 100), poses('poses_test', 10, 3), FOCAL],
    );
    const views = await open(file, { testViews: 4 });
    assert.deepEqual([views.height, views.width, views.focal, ...views.centre], [2, 4, 5, 2, 1]);
    assert.deepEqual(views.train.pixels.length, 3);
    // Evenly from ten: 0, 2, 5, 7.
    const opacity = views.test.pixels.map((pixels) => Math.round(((pixels[3] ?? 0) / 65_535) * 255));
    assert.deepEqual(opacity, [100, 102, 105, 107]);
    assert.deepEqual([...(views.test.poses[3] ?? [])], POSE);
    assert.deepEqual(views.notes, []);
    const smaller = await open(file, { downscale: 2 });
    assert.deepEqual([smaller.height, smaller.width, smaller.focal, ...smaller.centre], [1, 2, 2.5, 1, 0.5]);
  });

  test('or every eighth held out, with an angle for a focal length', async () => {
    const angle = npyEntry('camera_angle_x', '<f8', [1], float64Bytes([Math.PI / 2]));
    const file = archive('held.npz', images('images', 17, 3), poses('poses', 17), angle);
    const views = await open(file);
    assert.equal(views.train.poses.length, 14);
    assert.deepEqual(
      views.test.pixels.map((pixels) => Math.round(((pixels[0] ?? 0) / 65_535) * 255)),
      [0, 8, 16],
    );
    assert.ok(Math.abs(views.focal - 2) < 1e-12);
    assert.match(views.notes.join(), /every 8th picture is held out/);
  });

  test('of wrong shapes and numbers are refused', async () => {
    const both = [images('images_test', 1), poses('poses_test', 1), FOCAL];
    const train = [images('images_train', 2), poses('poses_train', 2)];
    await refuses(
      archive('none.npz', images('pictures', 1)),
      /no "images_train" and "poses_train", nor "images" and "poses", but pictures/,
    );
    await refuses(
      archive('few.npz', images('images_train', 2), poses('poses_train', 3), ...both),
      /"poses_train": shape \[3, 4, 4\], not \[2, 4, 4\]: a pose for each picture/,
    );
    await refuses(
      archive('flat.npz', npyEntry('images', '|u1', [2, 8], Buffer.alloc(16)), poses('poses', 2), FOCAL),
      /shape \[2, 8\], not \[views, height, width, channels\]/,
    );
    await refuses(
      archive('channels.npz', images('images', 2, 5), poses('poses', 2), FOCAL),
      /pictures of 5 channels/,
    );
    await refuses(
      archive('focal.npz', ...train, ...both.slice(0, 2)),
      /neither "focal" \(pixels\) nor "camera_angle_x"/,
    );
    await refuses(
      archive('zero.npz', ...train, ...both.slice(0, 2), npyEntry('focal', '<f8', [], float64Bytes([0]))),
      /a focal length of 0 pixels/,
    );
    await refuses(
      archive('one.npz', images('images', 1), poses('poses', 1), FOCAL),
      /training and test views are needed/,
    );
    await refuses(
      archive('nan.npz', images('images', 9), poses('poses', 9, 4, POSE.with(7, NaN)), FOCAL),
      /a pose with numbers that are not finite/,
    );
    await refuses(
      archive('axis.npz', images('images', 9), poses('poses', 9, 4, new Array<number>(16).fill(0)), FOCAL),
      /a pose whose axis 0 has length 0/,
    );
    await refuses(
      archive(
        'size.npz',
        ...train,
        npyEntry('images_test', '|u1', [1, 4, 4, 4], Buffer.alloc(64)),
        poses('poses_test', 1),
        FOCAL,
      ),
      /pictures of another size than those of training, \[1, 4, 4, 4\]/,
    );
    await refuses(archive('large.npz', ...train, ...both), /have none left when made 3 times smaller/, {
      downscale: 3,
    });
    const floats = npyEntry('images', '<f4', [9, 2, 4, 3], float32Bytes(new Array<number>(9 * 24).fill(2)));
    await refuses(archive('floats.npz', floats, poses('poses', 9), FOCAL), /a colour outside 0 … 1/);
    await refuses(write('text.npz', 'no archive at all'), /text\.npz/);
    await refuses(archive('other.npz', { name: 'readme.txt', data: Buffer.from('hello') }), /no views/);
    await refuses(path.join(folder, 'nowhere'), /not found/);
  });
});

describe('views in a folder, as Blender scenes come', () => {
  const scene = (
    name: string,
    transforms: Record<string, unknown>,
    pictures: Record<string, Buffer>,
  ): string => {
    const place = path.join(folder, name);
    mkdirSync(path.join(place, 'train'), { recursive: true });
    for (const [file, content] of Object.entries(transforms))
      writeFileSync(path.join(place, file), typeof content === 'string' ? content : JSON.stringify(content));
    for (const [file, content] of Object.entries(pictures)) writeFileSync(path.join(place, file), content);
    return place;
  };
  const matrix = [0, 1, 2, 3].map((row) => POSE.slice(4 * row, 4 * row + 4));
  const frame = (file: string): unknown => ({ file_path: file, rotation: 0.01, transform_matrix: matrix });
  const transforms = (...files: readonly string[]): unknown => ({
    camera_angle_x: Math.PI / 2,
    frames: files.map(frame),
  });
  const picture = (shade: number, width = 4): Buffer =>
    png(width, 2, 4, new Array<number>(8 * width).fill(shade));

  test('are read with their poses and opacity', async () => {
    const place = scene(
      'lego',
      {
        'transforms_train.json': transforms('./train/r_0', 'train/r_1.png'),
        'transforms_test.json': transforms('./train/r_2'),
      },
      { 'train/r_0.png': picture(255), 'train/r_1.png': picture(51), 'train/r_2.png': picture(0) },
    );
    const views = await open(place);
    assert.deepEqual([views.height, views.width, ...views.centre], [2, 4, 2, 1]);
    assert.ok(Math.abs(views.focal - 2) < 1e-12);
    assert.deepEqual(
      views.train.pixels.map((pixels) => [...pixels.subarray(0, 4)]),
      [new Array(4).fill(65_535), [2621, 2621, 2621, 13_107]],
    );
    assert.deepEqual([...(views.train.poses[1] ?? [])], POSE);
    const again = await open(place);
    assert.equal(views.identity, again.identity);
    writeFileSync(path.join(place, 'train/r_1.png'), picture(52));
    assert.notEqual((await open(place)).identity, views.identity);
  });

  test('are refused when they lie', async () => {
    const files = { 'train/r_0.png': picture(1), 'train/r_1.png': picture(2, 5) };
    const test = { 'transforms_test.json': transforms('train/r_0') };
    const lies: readonly [name: string, train: unknown, reason: RegExp][] = [
      ['outside', transforms('../../../secret'), /a picture outside the folder: \.\.\/\.\.\/\.\.\/secret/],
      ['absolute', transforms('/etc/secret'), /a picture outside the folder/],
      ['missing', transforms('train/r_9'), /r_9\.png: not found/],
      ['sizes', transforms('train/r_0', 'train/r_1'), /2 × 5 pixels, not 2 × 4 as the first/],
      ['empty', transforms(), /training and test views are needed/],
      ['broken', '{"camera_angle_x": 0.7, "frames": [', /JSON/],
      ['angle', { frames: [] }, /"camera_angle_x" is missing/],
      ['zero', { camera_angle_x: 0, frames: [frame('train/r_0')] }, /a focal length of Infinity pixels/],
      [
        'matrix',
        { camera_angle_x: 1, frames: [{ file_path: 'a', transform_matrix: [[1, 2]] }] },
        /"transform_matrix" of 2 numbers/,
      ],
      ['path', { camera_angle_x: 1, frames: [{ transform_matrix: matrix }] }, /a frame without "file_path"/],
      [
        'huge',
        {
          camera_angle_x: 1,
          frames: [{ file_path: 'a', transform_matrix: matrix.map((row) => row.map(() => 1e300)) }],
        },
        /a pose whose axis 0/,
      ],
    ];
    for (const [name, train, reason] of lies)
      await refuses(scene(name, { 'transforms_train.json': train, ...test }, files), reason);
    await refuses(
      scene('untested', { 'transforms_train.json': transforms('train/r_0') }, files),
      /transforms_test\.json: not found/,
    );
    const text = { 'train/r_0.png': Buffer.from('no picture') };
    await refuses(
      scene('text', { 'transforms_train.json': transforms('train/r_0'), ...test }, text),
      /no PNG/,
    );
  });
});
