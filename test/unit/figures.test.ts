/** The figures against numpy's SVD of the same matrices, made anew in Python from the definition of the stream. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { Ajv2020 } from 'ajv/dist/2020';
import schema from '../../media/schema/figure.schema.json';
import { createWasmBackend } from '../../src/compute';
import { figures } from '../../src/engine/figures';
import { renderCsv } from '../../src/engine/figures/csv';
import { renderSvg } from '../../src/engine/figures/panels';
import { encodePng } from '../../src/engine/figures/png';
import {
  FIGURE_NUMBERS,
  type FigureDocument,
  type FigureMatrix,
  type FigurePanel,
} from '../../src/engine/figuresDocument';
import { RandomStream } from '../../src/lowrank/randomStream';
import reference from '../reference/figures.json';

const backend = createWasmBackend(2);
after(() => backend.dispose());
const { signal } = new AbortController();
const drawn = figures({ figures: FIGURE_NUMBERS, seed: reference.seed, backend, signal });

const panelsOf = async <K extends FigurePanel['kind']>(
  kind: K,
): Promise<Extract<FigurePanel, { kind: K }>[]> =>
  (await drawn)
    .flatMap(({ panels }) => panels)
    .filter((panel): panel is Extract<FigurePanel, { kind: K }> => panel.kind === kind);

function assertClose(actual: number, expected: number, relative: number, what: string): void {
  assert.ok(
    Math.abs(actual - expected) <= relative * Math.abs(expected),
    `${what}: ${actual} is not ${expected} within ${relative}`,
  );
}

type Ranks = Pick<FigureMatrix, 'spectralNorm' | 'stableRank' | 'effectiveRank' | 'energyRanks'>;

function assertRanks(actual: FigureMatrix, expected: Ranks): void {
  assert.deepEqual(actual.energyRanks, expected.energyRanks, actual.label);
  assertClose(actual.spectralNorm, expected.spectralNorm, 1e-7, `${actual.label}: spectral norm`);
  assertClose(actual.stableRank, expected.stableRank, 1e-7, `${actual.label}: stable rank`);
  // Hundreds of values that are 0 but for rounding (1e-9·σ₁ here, 1e-17·σ₁ there) add to the entropy of a low-rank matrix.
  assertClose(actual.effectiveRank, expected.effectiveRank, 1e-4, `${actual.label}: effective rank`);
}

describe(`figures against numpy (${reference.made})`, () => {
  test('the stream of random numbers is xoshiro128**', () => {
    for (const [seed, expected] of Object.entries(reference.integers)) {
      const stream = new RandomStream(Number(seed));
      assert.deepEqual(
        expected.map(() => stream.integer()),
        expected,
      );
    }
    for (const seed of [-1, 0.5, 2 ** 32, NaN]) assert.throws(() => new RandomStream(seed), RangeError);
  });

  test('spectra of figures 1 and 3', async () => {
    const panels = await panelsOf('spectra');
    assert.equal(panels.length, reference.spectra.length);
    panels.forEach(({ spectra }, i) => {
      // Each panel has its own labels, which JSON's type lists as one union.
      const expected = Object.entries(reference.spectra[i] ?? {});
      assert.deepEqual(
        spectra.map(({ label }) => label),
        expected.map(([label]) => label),
      );
      spectra.forEach((spectrum, j) => {
        const [label = '', found] = expected[j] ?? [];
        assert.ok(found !== undefined);
        assertRanks(spectrum, found);
        found.every16th.forEach((sigma: number, index: number) => {
          const error = Math.abs((spectrum.singularValues[16 * index] ?? NaN) - sigma);
          assert.ok(error <= 2e-8, `${label}: σ${16 * index + 1}/σ₁ is ${error} off`);
        });
      });
    });
  });

  test('entries of figure 2', async () => {
    const panels = await panelsOf('heatMap');
    assert.equal(panels.length, reference.heatMaps.length);
    panels.forEach(({ matrix, values }, i) => {
      const expected = reference.heatMaps[i];
      assert.ok(expected !== undefined);
      assertRanks(matrix, expected);
      const diagonal = expected.diagonal.map((_, j) => values[16 * j]?.[16 * j] ?? NaN);
      expected.diagonal.forEach((value, j) => {
        assertClose(diagonal[j] ?? NaN, value, 1e-8, `${matrix.label} (${16 * j}, ${16 * j})`);
      });
    });
  });

  test('ranks over ω, and Proposition 1', async () => {
    const [panel] = await panelsOf('ranks');
    assert.ok(panel !== undefined);
    for (const { omega, ...expected } of reference.sweep) {
      const found = panel.sine.find((matrix) => matrix.omega === omega);
      assert.ok(found !== undefined, `ω = ${omega}`);
      assertRanks(found, expected);
    }
    for (const [name, value] of Object.entries(reference.proposition1)) {
      // The keys of one are the keys of the other: both are the proposition's four numbers.
      assertClose(panel.proposition1[name as keyof typeof panel.proposition1], value, 1e-9, name);
    }
  });
});

describe('the sweep of ω on 256 × 256, k = 5', () => {
  for (const seed of [0, 1, 2, 2 ** 32 - 1]) {
    test(`takes stable rank from below 5 to above 60, r(0.99) from 5 to above 190: seed ${seed}`, async () => {
      const [document] = await figures({ figures: [3], seed, backend, signal });
      const panel = document?.panels.find(({ kind }) => kind === 'ranks');
      assert.ok(panel?.kind === 'ranks');
      const [first, last] = [panel.sine[0], panel.sine.at(-1)];
      assert.ok(first !== undefined && last !== undefined);
      assert.ok(first.stableRank < 5 && last.stableRank > 60, `${first.stableRank} → ${last.stableRank}`);
      assert.equal(first.energyRanks['0.99'], 5);
      assert.ok(last.energyRanks['0.99'] > 190);
      // Prop. 1 must hold wherever it speaks; it promises little.
      const { boundAtLimit, omegaLimit } = panel.proposition1;
      for (const { omega = 0, stableRank } of panel.sine) {
        assert.ok(stableRank >= (boundAtLimit * omega) / omegaLimit);
      }
    });
  }
});

describe('documents of figures', () => {
  test('obey their schema', async () => {
    const validate = new Ajv2020({ strict: true, strictTuples: false }).compile(schema);
    for (const document of await drawn) {
      assert.ok(validate(JSON.parse(JSON.stringify(document))), JSON.stringify(validate.errors));
    }
  });

  test('are the same again for the same seed, and others for another', async () => {
    const again = async (seed: number): Promise<FigureDocument['panels'] | undefined> =>
      (await figures({ figures: [2], seed, backend, signal }))[0]?.panels;
    assert.deepEqual(await again(reference.seed), (await drawn)[1]?.panels);
    assert.notDeepEqual(await again(reference.seed + 1), (await drawn)[1]?.panels);
  });

  test('stop when cancelled', async () => {
    const reason = new Error('no longer wanted');
    await assert.rejects(
      figures({ figures: [1], seed: 0, backend, signal: AbortSignal.abort(reason) }),
      reason,
    );
  });
});

describe('tables', () => {
  test('hold every number of the figure under one header', async () => {
    const tables = (await drawn).flatMap(renderCsv);
    assert.deepEqual(
      tables.map(({ name, text }) => [name, text.trimEnd().split('\n').length - 1]),
      [
        ['spectra', 3 * 768],
        ['entries', 4 * 128 * 128],
        ['spectra', (5 + 8) * 256],
        ['ranks', 2 + 27],
      ],
    );
    for (const { text } of tables) {
      const widths = new Set(
        text
          .trimEnd()
          .split('\n')
          .map((row) => row.replace(/"[^"]*"/g, '').split(',').length),
      );
      assert.equal(widths.size, 1);
    }
  });
});

/** Every element is closed in order, and no text or attribute holds a bare < or &. */
function assertWellFormed(picture: string): void {
  const svg = picture.replace(/base64,[^"]*/g, '');
  const open: string[] = [];
  for (const [, slash, name = '', body = ''] of svg.matchAll(/<(\/?)([a-z]+)([^<>]*)>/gi)) {
    if (slash === '/') assert.equal(open.pop(), name);
    else if (!body.endsWith('/')) open.push(name);
  }
  assert.deepEqual(open, []);
  assert.doesNotMatch(svg, /&(?!amp;|lt;|gt;)/);
  assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
}

describe('pictures', () => {
  test('are well-formed, small, of one piece, and light or dark as their viewer is', async () => {
    for (const document of await drawn) {
      const svg = renderSvg(document);
      assertWellFormed(svg.slice(svg.indexOf('<svg')));
      assert.ok(svg.length < 300_000, `${svg.length} characters`);
      assert.match(svg, /prefers-color-scheme: dark/);
      assert.doesNotMatch(svg, /<script|href="(?!data:)/);
      assert.match(svg, new RegExp(`<title id="title">Figure ${document.figure}\\.`));
    }
  });

  test('draw every value inside its frame', async () => {
    const [, , third] = await drawn;
    assert.ok(third !== undefined);
    const svg = renderSvg(third);
    const frames = [
      ...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" class="frame"/g),
    ];
    assert.equal(frames.length, 3);
    const [left = 0, top = 0, width = 0, height = 0] = (frames[0] ?? []).slice(1).map(Number);
    const paths = [...svg.matchAll(/class="curve"[^>]* d="([^"]+)"/g)].map(([, path = '']) => path);
    const long = paths.filter((path) => path.length > 200);
    assert.equal(long.length, 5 + 8 + 4);
    for (const path of long) {
      for (const [, x, y] of path.matchAll(/[ML]([-\d.]+) ([-\d.]+)/g)) {
        assert.ok(Number(x) >= left && Number(x) <= left + width, `x ${x}`);
        assert.ok(Number(y) >= top && Number(y) <= top + height, `y ${y}`);
      }
    }
  });

  test('hold images as PNG', () => {
    const pixels = Uint8Array.of(0, 1, 2, 2, 1, 0);
    const png = encodePng(pixels, 3, 2, [
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
    ]);
    assert.equal(png.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
    // The end of every PNG there is: an empty IEND and its check sum.
    assert.equal(png.subarray(-12).toString('hex'), '0000000049454e44ae426082');
    const chunks = new Map<string, Buffer>();
    for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
      const length = png.readUInt32BE(at);
      chunks.set(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, at + 8 + length));
    }
    assert.equal(chunks.get('IHDR')?.toString('hex'), '00000003' + '00000002' + '08' + '03' + '000000');
    assert.equal(chunks.get('PLTE')?.toString('hex'), 'ff0000' + '00ff00' + '0000ff');
    assert.deepEqual([...inflateSync(chunks.get('IDAT') ?? '')], [0, 0, 1, 2, 0, 2, 1, 0]);
  });
});
