/** Data that lies about itself: one line that names the file, and never more memory than the truth needs. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';
import { CheckpointError } from '../../src/checkpoint/errors';
import { openDataset } from '../../src/network/data/openDataset';
import type { ResolvedData } from '../../src/network/recipe';
import { temporaryFolder, zip } from '../fixtures/handmade';
import { DATA_FIXTURES } from '../reference/networkReferences';

const never = new AbortController().signal;
const { write, folder } = temporaryFolder();
const fixture = (name: string): Buffer => readFileSync(path.join(DATA_FIXTURES, name));

/** Opens the data and reads all of it. */
async function load(file: string, settings: Partial<ResolvedData> = {}): Promise<void> {
  const dataset = await openDataset({ path: [file], folder, ...settings }, undefined, never);
  try {
    await dataset.read(0, dataset.samples);
  } finally {
    await dataset.dispose();
  }
}

async function refuses(file: string, reason: RegExp, settings: Partial<ResolvedData> = {}): Promise<void> {
  await assert.rejects(load(file, settings), (error: unknown) => {
    assert.ok(error instanceof CheckpointError, String(error));
    assert.match(error.message, reason);
    assert.ok(!error.message.includes('\n'), error.message);
    assert.ok(error.message.includes(path.basename(file)), error.message);
    return true;
  });
}

function chunk(type: string, data: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  // Checksums are not compared: zlib's own one covers the pixels.
  return Buffer.concat([length, Buffer.from(type), data, Buffer.alloc(4)]);
}

/** A grey PNG of bytes; `data` as it is to be inflated. */
function png(
  width: number,
  height: number,
  data: Uint8Array,
  { depth = 8, colour = 0, before = Buffer.alloc(0) } = {},
): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const end = chunk('IEND', Buffer.alloc(0));
  return Buffer.concat([signature, chunk('IHDR', header), before, chunk('IDAT', deflateSync(data)), end]);
}

/** A zip with one picture, in no class. */
const zipped = (name: string, picture: Uint8Array, inside = 'a.png'): string =>
  write(name, zip([{ name: inside, data: picture }]));

describe('pictures that lie', () => {
  test('are refused for their size before anything is decoded', async () => {
    await refuses(
      zipped('wide.zip', png(100_000, 100_000, Buffer.alloc(10))),
      /a picture of 100000 × 100000 pixels: at most 33554432/,
    );
    await refuses(zipped('none.zip', png(0, 5, Buffer.alloc(10))), /a picture of 0 × 5 pixels/);
    const jpeg = Buffer.from(fixture('colour444.jpg'));
    const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
    jpeg.writeUInt16BE(65_000, frame + 5);
    jpeg.writeUInt16BE(65_000, frame + 7);
    await refuses(zipped('jpeg.zip', jpeg, 'a.jpg'), /a picture of 65000 × 65000 pixels/);
  });

  test('inflate to what their header asks for and not a byte more', async () => {
    const started = process.memoryUsage().rss;
    await refuses(zipped('bomb.zip', png(2, 2, Buffer.alloc(64 * 1024 * 1024))), /do not inflate to 6 bytes/);
    assert.ok(process.memoryUsage().rss - started < 100 * 1024 * 1024);
    await refuses(zipped('short.zip', png(2, 2, Buffer.alloc(5))), /inflate to 5 bytes instead of 6/);
  });

  test('are cut off, or no pictures', async () => {
    const whole = fixture('rgb.png');
    await refuses(zipped('cut.zip', whole.subarray(0, whole.length - 20)), /a PNG that is cut off/);
    await refuses(zipped('text.zip', Buffer.from('not a picture')), /neither a PNG nor a JPEG/);
    const jpeg = fixture('colour420.jpg');
    await refuses(
      zipped('jpegcut.zip', jpeg.subarray(0, 150), 'a.jpg'),
      /a JPEG that is cut off|without a frame/,
    );
    await refuses(
      zipped('jpegscan.zip', jpeg.subarray(0, jpeg.length - 30), 'a.jpg'),
      /a JPEG that is cut off/,
    );
    await refuses(zipped('jpegsoi.zip', Buffer.from([0xff, 0xd8, 0xff]), 'a.jpg'), /a JPEG that is cut off/);
  });

  test('have bits, colours or filters that do not exist', async () => {
    await refuses(zipped('depth.zip', png(1, 1, Buffer.alloc(2), { depth: 7 })), /colour type 0 with 7 bits/);
    await refuses(zipped('colour.zip', png(1, 1, Buffer.alloc(2), { colour: 5 })), /a PNG of colour type 5/);
    await refuses(zipped('filter.zip', png(1, 1, Buffer.from([9, 0]))), /a PNG line of filter 9/);
    await refuses(
      zipped(
        'palette.zip',
        png(1, 1, Buffer.from([0, 3]), { colour: 3, before: Buffer.from(chunk('PLTE', Buffer.alloc(6))) }),
      ),
      /a pixel of colour 3, but the palette has 2/,
    );
  });

  test('are JPEG files of printing inks, or of too many scans', async () => {
    await refuses(zipped('cmyk.zip', fixture('cmyk.jpg'), 'a.jpg'), /a JPEG of 4 channels of 8 bits/);
    const jpeg = fixture('progressive.jpg');
    const scans = Buffer.concat(Array.from({ length: 100 }, () => Buffer.from([0xff, 0xda, 0, 2])));
    await refuses(
      zipped('scans.zip', Buffer.concat([jpeg, scans]), 'a.jpg'),
      /a JPEG of 1\d\d scans: at most 64/,
    );
  });

  test('are decoded after one that could not be', async () => {
    const broken = fixture('colour420.jpg').subarray(0, 300);
    const first = write('first.zip', zip([{ name: 'a.jpg', data: broken }]));
    await assert.rejects(load(first));
    await load(write('second.zip', zip([{ name: 'a.jpg', data: fixture('colour420.jpg') }])));
  });

  test('have different sizes, which only a size in the recipe settles', async () => {
    const grey = (width: number, height: number) => png(width, height, Buffer.alloc(height * (width + 1)));
    const file = write(
      'sizes.zip',
      zip([
        { name: 'a.png', data: grey(3, 2) },
        { name: 'b.png', data: grey(2, 2) },
      ]),
    );
    await refuses(file, /picture "b\.png" has 2 × 2 pixels, not 2 × 3 as the first: give "size"/);
    await load(file, { size: [4, 4] });
  });

  test('lie outside the archive, or at different depths', async () => {
    const picture = fixture('rgb.png');
    await refuses(write('out.zip', zip([{ name: '../../a.png', data: picture }])), /leaves the archive/);
    const depths = zip([
      { name: 'a/1.png', data: picture },
      { name: 'b/c/2.png', data: picture },
    ]);
    await refuses(write('depths.zip', depths), /pictures at different depths/);
    await refuses(write('empty.zip', zip([{ name: 'a.txt', data: picture }])), /no PNG or JPEG pictures/);
  });
});

/** An IDX file whose header says what it likes. */
function idx(shape: readonly number[], values: Uint8Array, type = 8): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt8(type, 2);
  header.writeUInt8(shape.length, 3);
  shape.forEach((size, axis) => header.writeUInt32BE(size, 4 + 4 * axis));
  return Buffer.concat([header, values]);
}

describe('IDX files that lie', () => {
  test('ask for more or less than they hold', async () => {
    await refuses(write('more.idx', idx([3, 2], Buffer.alloc(5))), /asks for 6 bytes, but 5 follow/);
    await refuses(write('less.idx', idx([3, 2], Buffer.alloc(7))), /asks for 6 bytes, but 7 follow/);
    await refuses(
      write('huge.idx', idx([0xffffffff, 0xffffffff, 4], Buffer.alloc(5))),
      /asks for 4294967295 × 4294967295 × 4 values/,
    );
  });

  test('gunzip to more or less than their header asks for', async () => {
    const bomb = gzipSync(idx([2, 2], Buffer.alloc(256 * 1024 * 1024)));
    const started = process.memoryUsage().rss;
    await refuses(write('bomb.gz', bomb), /gunzips to more than its header asks for/);
    assert.ok(process.memoryUsage().rss - started < 150 * 1024 * 1024);
    await refuses(
      write('short.gz', gzipSync(idx([5, 2], Buffer.alloc(3)))),
      /gunzips to 15 bytes instead of the 22/,
    );
    await refuses(
      write('claim.gz', gzipSync(idx([1_000_000, 2000], Buffer.alloc(3)))),
      /2000000012 bytes cannot come of \d+ compressed ones/,
    );
    const whole = gzipSync(
      idx([64, 64], Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 37) % 256))),
    );
    await refuses(write('cut.gz', whole.subarray(0, whole.length - 9)), /does not gunzip|instead of/);
  });

  test('have other labels than samples', async () => {
    write('t-labels.idx', idx([2], Buffer.from([0, 1])));
    await assert.rejects(load(write('t-images.idx', idx([3, 2], Buffer.alloc(6)))), /2 labels for 3 samples/);
  });
});

describe('labels that are none', () => {
  /** A `.npy` of float64. */
  const npy = (shape: string, values: readonly number[]): Buffer => {
    const header = `{'descr': '<f8', 'fortran_order': False, 'shape': ${shape}, }`.padEnd(117) + '\n';
    const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
    return Buffer.concat([start, Buffer.from(header), Buffer.from(Float64Array.from(values).buffer)]);
  };
  const inputs = write('x.npy', npy('(3, 2)', [1, 2, 3, 4, 5, 6]));
  const labelled = (name: string, shape: string, values: readonly number[], reason: RegExp) =>
    assert.rejects(load(inputs, { labels: write(name, npy(shape, values)) }), reason);

  test('are refused, the first of them named', async () => {
    await labelled(
      'half.npy',
      '(3,)',
      [0, 1.5, 1],
      /the label of sample 1 is 1\.5, not a class as a whole number/,
    );
    await labelled('below.npy', '(3,)', [0, 1, -1], /the label of sample 2 is -1/);
    await labelled('nan.npy', '(3,)', [NaN, 1, 1], /the label of sample 0 is NaN/);
    await labelled('soft.npy', '(3, 2)', [0, 1, 0.5, 0.5, 1, 0], /the label of sample 1 is no one-hot row/);
    await labelled('two.npy', '(3, 2)', [0, 1, 1, 1, 1, 0], /the label of sample 1 is no one-hot row/);
    await labelled('few.npy', '(2,)', [0, 1], /2 labels for 3 samples/);
    await labelled('cube.npy', '(3, 1, 1)', [0, 1, 1], /labels of shape \[3, 1, 1\]/);
  });

  test('in words are told apart from numbers', async () => {
    const file = path.join(DATA_FIXTURES, 'words.npz');
    await refuses(file, /elements of type <U3 are not read/, { labels: 'y' });
    await load(file);
  });
});

describe('files that are no data', () => {
  test('are told what is read', async () => {
    await refuses(write('words.txt', 'hello'), /no data that is read: \.npz, \.npy, IDX/);
    await refuses(write('empty.bin', ''), /no data that is read/);
    await refuses(path.join(folder, 'nowhere.npz'), /not found/);
    await refuses(write('a.bin', Buffer.alloc(3073 + 5)), /no CIFAR batch: 3078 bytes/, { format: 'cifar' });
    const classes = Buffer.alloc(3073);
    classes[0] = 11;
    await refuses(write('b.bin', classes), /byte 0: class 11 of a CIFAR-10 record/);
    await refuses(
      write('one.npy', fixture('targets.npy')),
      /inputs of shape \[6\]: the first axis must count samples/,
    );
    const several = { path: [path.join(folder, 'one.npy'), path.join(folder, 'b.bin')] };
    await refuses(path.join(folder, 'one.npy'), /only CIFAR batches come in several files/, several);
  });
});
