/** Meshes: their files, and which points of a grid lie inside. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError } from '../../src/checkpoint/errors';
import { type Mesh, openMesh } from '../../src/network/data/mesh/mesh';
import { Pauses } from '../../src/network/data/pauses';
import { OccupancyGrid } from '../../src/training/tasks/occupancyGrid';
import { voxelize } from '../../src/training/tasks/voxelize';
import { temporaryFolder } from '../fixtures/handmade';
import { sharedData } from '../reference/references';
import { trainingReferences } from '../reference/trainingReferences';
import { objOf, ringMesh } from './trainingFiles';

const { write } = temporaryFolder();
const signal = new AbortController().signal;
const pauses = new Pauses(signal);
const TRIANGLE = 'v 0 0 0\nv 1 0 0\nv 0 1 0\n';

async function mesh(
  name: string,
  content: string | Uint8Array,
): Promise<{ corners: number[][]; faces: number[][] }> {
  const { positions, triangles } = await openMesh(write(name, content), signal);
  const rows = (values: ArrayLike<number>): number[][] =>
    Array.from({ length: values.length / 3 }, (_, i) => [0, 1, 2].map((axis) => values[3 * i + axis] ?? NaN));
  return { corners: rows(positions), faces: rows(triangles) };
}

async function refuses(name: string, content: string | Uint8Array, reason: RegExp): Promise<void> {
  const file = write(name, content);
  await assert.rejects(openMesh(file, signal), (error: unknown) => {
    assert.ok(error instanceof CheckpointError, String(error));
    assert.match(error.message, reason);
    assert.ok(!error.message.includes('\n') && error.message.includes(name), error.message);
    return true;
  });
}

describe('Wavefront OBJ', () => {
  test('faces name vertices in every way there is, and polygons become fans', async () => {
    const { corners, faces } = await mesh(
      'all.obj',
      [
        '# a comment\r',
        'o name\tof it',
        'v 0 0 0\r',
        'v 1 0 0 1.0',
        '  v 1e0 1 -.5 0.3 0.2 0.1',
        'vt 0 0',
        'vn 0 0 1',
        'v\t0 1 \\',
        '  0',
        'f 1 2 3',
        'f 1/1 2/1 4/1',
        'f 1/1/1 2//1 -1',
        'f -4 -3 -2 -1',
        'usemtl x',
        '',
      ].join('\n'),
    );
    assert.deepEqual(corners, [
      [0, 0, 0],
      [1, 0, 0],
      [1, 1, -0.5],
      [0, 1, 0],
    ]);
    assert.deepEqual(faces, [
      [0, 1, 2],
      [0, 1, 3],
      [0, 1, 3],
      [0, 1, 2],
      [0, 2, 3],
    ]);
  });

  test('vertices may come after the faces that name them', async () => {
    const { faces } = await mesh('later.obj', `f 3 2 1\n${TRIANGLE}`);
    assert.deepEqual(faces, [[2, 1, 0]]);
  });

  test('written again, a mesh is the same', async () => {
    const ring = ringMesh(2, 0.5, 20, 10);
    const read = await openMesh(write('ring.obj', objOf(ring)), signal);
    assert.deepEqual(read.positions, ring.positions);
    assert.deepEqual(read.triangles, ring.triangles);
  });

  test('lies are refused in one line that says where', async () => {
    await refuses(
      'index.obj',
      `${TRIANGLE}f 1 2 3\nf 1 2 4000000000\n`,
      /line 5: a face of vertex 4000000000, but there are 3/,
    );
    await refuses(
      'longer.obj',
      `${TRIANGLE}f 1 2 99999999999999\n`,
      /line 4: "99999999999999" names no vertex/,
    );
    await refuses('zero.obj', `${TRIANGLE}f 0 1 2\n`, /line 4: "0" names no vertex \(they count from 1\)/);
    await refuses('back.obj', `${TRIANGLE}f -1 -2 -4\n`, /line 4: a face of a vertex that is not there/);
    await refuses('nan.obj', `v 0 0 0\nv NaN 0 0\nv 0 1 0\nf 1 2 3\n`, /line 2: a vertex at \(NaN, 0, 0\)/);
    await refuses('words.obj', `v 0 0 0\nv a b c\n`, /line 2: a vertex at/);
    await refuses('infinite.obj', `v 0 0 1e999\n`, /line 1: a vertex at \(0, 0, Infinity\)/);
    await refuses('two.obj', `v 0 0\n`, /line 1: a vertex of 2 numbers/);
    await refuses('corners.obj', `${TRIANGLE}f 1 2\n`, /line 4: a face of 2 corners/);
    await refuses('empty.obj', '', /no faces/);
    await refuses('points.obj', TRIANGLE, /no faces/);
    await refuses('picture.obj', Buffer.alloc(200_000, 0x41), /line 1 is longer than 131072 characters/);
    await refuses('endless.obj', 'v 0 0 \\\n'.repeat(40_000), /is longer than 131072 characters/);
  });
});

describe('Stanford PLY', () => {
  const HEADER = [
    'comment made here',
    'element vertex 3',
    'property float x',
    'property float y',
    'property float z',
  ];
  const text = (lines: readonly string[], body: string): string =>
    `ply\nformat ascii 1.0\n${lines.join('\n')}\nend_header\n${body}`;
  const FACE = ['element face 1', 'property list uchar int vertex_indices'];

  test('as text, with other elements and properties between', async () => {
    const lines = [
      ...['element camera 1', 'property float a', 'property list uchar float b', 'element vertex 4'],
      ...['property uchar red', 'property double z', 'property float y', 'property float x'],
      ...['element face 1', 'property float quality', 'property list uchar int vertex_index'],
    ];
    const body = '7 2 8 9\n255 0 0 0\n255 0 0 1\n255 0.5 1 1\n255 0 1 0\n0.5 4 0 1 2 3\n';
    const { corners, faces } = await mesh('all.ply', text(lines, body));
    assert.deepEqual(corners[2], [1, 1, 0.5]);
    assert.deepEqual(faces, [
      [0, 1, 2],
      [0, 2, 3],
    ]);
  });

  for (const order of ['little', 'big'] as const) {
    test(`in binary, ${order} end first`, async () => {
      const header = `ply\nformat binary_${order}_endian 1.0\n${[...HEADER, ...FACE].join('\n')}\nend_header\n`;
      const body = Buffer.alloc(36 + 13);
      [0, 0, 0, 1, 0, 0, 0, 1, -2.5].forEach((value, i) =>
        order === 'little' ? body.writeFloatLE(value, 4 * i) : body.writeFloatBE(value, 4 * i),
      );
      body[36] = 3;
      [2, 0, 1].forEach((value, i) =>
        order === 'little' ? body.writeInt32LE(value, 37 + 4 * i) : body.writeInt32BE(value, 37 + 4 * i),
      );
      const { corners, faces } = await mesh(`${order}.ply`, Buffer.concat([Buffer.from(header), body]));
      assert.deepEqual(corners[2], [0, 1, -2.5]);
      assert.deepEqual(faces, [[2, 0, 1]]);
      await refuses(
        'cut.ply',
        Buffer.concat([Buffer.from(header), body.subarray(0, 40)]),
        /a PLY that is cut off/,
      );
    });
  }

  test('lies are refused in one line', async () => {
    await refuses(
      'many.ply',
      text(['element vertex 99999999999'], ''),
      /line 3: an element of "99999999999" records/,
    );
    await refuses('none.ply', text(['element vertex -1'], ''), /an element of "-1" records/);
    await refuses('short.ply', text([...HEADER, ...FACE], '0 0 0\n1 0 0\n'), /a PLY that is cut off/);
    await refuses(
      'list.ply',
      text([...HEADER, ...FACE], '0 0 0 1 0 0 0 1 0 99999 1 2'),
      /face 0: a list of 99999 numbers/,
    );
    await refuses(
      'index.ply',
      text([...HEADER, ...FACE], '0 0 0 1 0 0 0 1 0 3 0 1 7'),
      /face 0: a face of vertex 8, but there are 3/,
    );
    await refuses(
      'minus.ply',
      text([...HEADER, ...FACE], '0 0 0 1 0 0 0 1 0 3 0 1 -1'),
      /face 0: a face of a vertex that is not there/,
    );
    await refuses('nan.ply', text([...HEADER, ...FACE], '0 0 nan'), /vertex 0: a vertex at/);
    await refuses(
      'flat.ply',
      text(['element vertex 1', 'property float x', 'property float y'], '0 0'),
      /vertices without x, y and z/,
    );
    await refuses(
      'type.ply',
      text(['element vertex 1', 'property float128 x'], '0'),
      /line 4: a property of type "float128"/,
    );
    await refuses(
      'format.ply',
      'ply\nformat binary_middle_endian 1.0\nend_header\n',
      /line 2: a PLY in the format/,
    );
    await refuses('end.ply', 'ply\nformat ascii 1.0\nelement vertex 1\n', /a PLY header without an end/);
    await refuses('empty.ply', text([], ''), /no faces/);
  });
});

describe('points inside of a mesh', () => {
  test('of a ring are those near its circle, to the last one where the surface is far enough', async () => {
    const [radius, tube, resolution] = [3, 1, 45];
    const { grid, oddRays } = await voxelize(ringMesh(radius, tube, 96, 64), resolution, pauses);
    // The widest side, 2·(3 + 1), becomes 1.9.
    const scale = 1.9 / 8;
    let [wrong, near, inside] = [0, 0, 0];
    const at = new Float32Array(3);
    for (let index = 0; index < grid.points; index++) {
      grid.coordinate(index, at, 0);
      const [x = 0, y = 0, z = 0] = at;
      const distance = Math.hypot(Math.hypot(x, y) - radius * scale, z) / scale;
      if (Math.abs(distance - tube) < 0.005) near++;
      else if (distance < tube !== grid.has(index)) wrong++;
      if (grid.has(index)) inside++;
    }
    assert.equal(wrong, 0);
    assert.ok(near < 0.03 * inside, 'nearly all points are far from the surface');
    assert.equal(oddRays, 0);
    assert.equal(grid.count(), inside);
  });

  test('of a box are all between its sides, also where rays meet edges and corners', async () => {
    // 1.9 × 0.95 × 0.475: with 20 points along an axis, the outermost lie in its sides, and rays run along them.
    const corner = (i: number): number[] => [i & 1 ? 2 : -2, i & 2 ? 1 : -1, i & 4 ? 0.5 : -0.5];
    const sides = [
      [0, 1, 3, 2],
      [4, 6, 7, 5],
      [0, 4, 5, 1],
      [2, 3, 7, 6],
      [0, 2, 6, 4],
      [1, 5, 7, 3],
    ];
    const box: Mesh = {
      positions: Float64Array.from([0, 1, 2, 3, 4, 5, 6, 7].flatMap(corner)),
      triangles: Uint32Array.from(sides.flatMap(([a = 0, b = 0, c = 0, d = 0]) => [a, b, c, a, c, d])),
    };
    for (const resolution of [8, 19, 20, 33, 64]) {
      const { grid, oddRays } = await voxelize(box, resolution, pauses);
      assert.equal(oddRays, 0);
      for (let index = 0; index < grid.points; index++) {
        const row = Math.floor(index / resolution);
        const cells = [index % resolution, row % resolution, Math.floor(row / resolution)];
        const half = [0.95, 0.475, 0.2375];
        const outside = Math.max(
          ...cells.map((cell, axis) => Math.abs(grid.centre(cell)) - (half[axis] ?? 0)),
        );
        // In a side itself, either answer is right.
        if (Math.abs(outside) > 1e-9) assert.equal(grid.has(index), outside < 0, `${resolution}: ${index}`);
      }
    }
  });

  test('of a ring with holes are the same but a few: the other axes decide', async () => {
    const whole = ringMesh(3, 1, 96, 64);
    const { grid } = await voxelize(whole, 48, pauses);
    // A hole where the ring faces up: all triangles of a sector's top.
    const holed = Uint32Array.from(
      [...Array(whole.triangles.length / 3).keys()]
        .filter((i) => {
          const z = whole.positions[3 * (whole.triangles[3 * i] ?? 0) + 2] ?? 0;
          return !(i < whole.triangles.length / 36 && z > 0.85);
        })
        .flatMap((i) => [...whole.triangles.subarray(3 * i, 3 * i + 3)]),
    );
    assert.ok(holed.length < whole.triangles.length);
    const { grid: open, oddRays } = await voxelize({ ...whole, triangles: holed }, 48, pauses);
    assert.ok(oddRays > 0.001);
    let different = 0;
    for (let index = 0; index < grid.points; index++) if (grid.has(index) !== open.has(index)) different++;
    assert.ok(different < 0.005 * grid.count(), `${different} of ${grid.count()} points`);
  });

  test('beside the surface are those with a neighbour on the other side', async () => {
    for (const resolution of [31, 32, 33, 40, 64, 70]) {
      const { grid } = await voxelize(ringMesh(3, 1, 48, 32), resolution, pauses);
      // Something at every border of the grid, where there are no neighbours.
      for (let i = 0; i < resolution; i++) {
        grid.flip(resolution - 1, i);
        grid.flip(0, i * resolution);
        grid.flip(i, resolution * resolution - 1);
      }
      const found = new Set(await grid.surface(pauses));
      const inGrid = (i: number): boolean => i >= 0 && i < resolution;
      for (let index = 0; index < grid.points; index++) {
        const row = Math.floor(index / resolution);
        const place = [index % resolution, row % resolution, Math.floor(row / resolution)];
        const isBeside = [1, resolution, resolution ** 2].some((stride, axis) =>
          [-1, 1].some(
            (step) =>
              inGrid((place[axis] ?? 0) + step) && grid.has(index + step * stride) !== grid.has(index),
          ),
        );
        assert.equal(found.has(index), isBeside, `${resolution}: point ${index}`);
      }
    }
  });

  test('are none of a mesh without extent', async () => {
    const point = { positions: new Float64Array(9).fill(2), triangles: Uint32Array.of(0, 1, 2) };
    await assert.rejects(voxelize(point, 16, pauses), /a mesh whose longest side is 0/);
  });

  test('are found in the background: a cancellation is heard', async () => {
    const controller = new AbortController();
    const running = voxelize(ringMesh(3, 1, 600, 300), 256, new Pauses(controller.signal));
    controller.abort(new Error('enough'));
    await assert.rejects(running, /enough/);
  });
});

test('a grid keeps its points apart', () => {
  const grid = new OccupancyGrid(33);
  grid.flip(32, 33 * 33 - 1);
  grid.flip(0, 1);
  assert.ok(grid.has(33 ** 3 - 1) && grid.has(33) && !grid.has(32) && !grid.has(34));
  assert.equal(grid.count(), 2);
  const at = new Float32Array(3);
  grid.coordinate(33 ** 3 - 1, at, 0);
  assert.deepEqual([...at], [...new Float32Array(3).fill(32 / 33)]);
});

const shared = sharedData();

describe(
  'real meshes against winding numbers',
  { skip: shared === undefined && 'no shared data here' },
  () => {
    for (const [name, { resolution, anywhere, points, inside }] of Object.entries(
      trainingReferences().meshes,
    )) {
      test(name, async (t) => {
        const started = performance.now();
        const read = await openMesh(path.join(shared ?? '', 'meshes', `${name}.obj`), signal);
        const { grid, oddRays } = await voxelize(read, resolution, pauses);
        const seconds = (performance.now() - started) / 1000;
        const encoded = Buffer.from(points, 'base64');
        const indices = Array.from({ length: encoded.length / 4 }, (_, i) => encoded.readUInt32LE(4 * i));
        const bits = Buffer.from(inside, 'base64');
        const isRight = indices.map(
          (index, i) => (((bits[i >> 3] ?? 0) >> (i & 7)) & 1) === (grid.has(index) ? 1 : 0),
        );
        const share = (from: number, to: number): number =>
          isRight.slice(from, to).filter(Boolean).length / (to - from);
        const [far, near] = [share(0, anywhere), share(anywhere, indices.length)];
        t.diagnostic(
          `${resolution}³ in ${seconds.toFixed(2)} s, ${(100 * oddRays).toFixed(2)} % of rays odd; the same ${100 * far} % anywhere, ${100 * near} % beside the surface`,
        );
        assert.ok(far >= 0.995 && near >= 0.995, `${far} and ${near}`);
        assert.ok(seconds < 20, `${seconds} s`);
      });
    }
  },
);
