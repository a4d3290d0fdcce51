/** How a matrix is cut for a graphics card: every element once, every buffer within the adapter's limits. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { blockSide } from '../../src/compute/webgpu/shaders';
import {
  entriesBefore,
  LONGEST,
  LONGEST_TILE,
  PORTIONS,
  SUM_BYTES,
  tilingOf,
  wordsOf,
  type Limits,
} from '../../src/compute/webgpu/tiling';

/** What WebGPU promises everywhere. */
const LEAST: Limits = {
  maxBufferSize: 256 << 20,
  maxStorageBufferBindingSize: 128 << 20,
  maxComputeWorkgroupsPerDimension: 65_535,
};

/** Why a matrix is not taken. */
function reasonFor(rows: number, columns: number, limits = LEAST): string {
  const tiling = tilingOf(rows, columns, limits, false);
  return typeof tiling === 'string' ? tiling : 'taken';
}

describe('tiling', () => {
  for (const [rows, columns] of [
    [1, 1],
    [7, 33],
    [768, 3072],
    [11_008, 4096],
    [4096, 11_008],
    [300, 500_000],
    [22_000, 22_000],
  ] as const)
    for (const portions of [PORTIONS, { ...PORTIONS, tile: 4 << 20, band: 1 << 20, resident: 0 }])
      test(`${rows} × ${columns}, tiles of ${portions.tile} bytes`, () => {
        const tiling = tilingOf(rows, columns, LEAST, false, portions);
        assert.ok(typeof tiling !== 'string');
        const { lines, long, paddedLines, tiles, bands, side } = tiling;
        assert.deepEqual([lines, long], [Math.min(rows, columns), Math.max(rows, columns)]);
        let at = 0;
        for (const { from, length } of tiles) {
          assert.equal(from, at);
          assert.ok(length > 0 && length <= LONGEST_TILE);
          assert.ok(4 * lines * length <= LEAST.maxStorageBufferBindingSize);
          assert.ok(4 * 5 * wordsOf(length) * paddedLines <= LEAST.maxStorageBufferBindingSize, 'slices');
          assert.ok(5 * 4 * wordsOf(length) * 128 * 128 < 2 ** 31, 'sums of a tile fit 32 bits');
          at += length;
        }
        assert.equal(at, long);
        let row = 0;
        for (const { from, to } of bands) {
          assert.equal(from, row);
          assert.equal(from % blockSide(side), 0);
          assert.ok(
            SUM_BYTES * (entriesBefore(to) - entriesBefore(from)) <= LEAST.maxStorageBufferBindingSize,
          );
          row = to;
        }
        assert.equal(row, lines);
      });

  test('sums of products fit 96 bits', () => {
    // Fixed-point numbers are below 2^38.
    assert.ok(LONGEST * 2 ** 76 <= 2 ** 95);
    assert.match(reasonFor(10, LONGEST + 1), /its longer side, 524289, is beyond 524288/);
  });

  test('what is beyond the adapter is refused', () => {
    const small = { ...LEAST, maxStorageBufferBindingSize: 1 << 20 };
    assert.match(reasonFor(5000, 5000, small), /its smaller side, 5000, is beyond/);
    assert.match(reasonFor(70_000, 70_000), /its smaller side, 70000, is beyond/);
  });
});
