/** Peak memory of the built command: 300 MB + 4 × the largest layer that is analysed, whatever the file's size. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { AuditDocument } from '../../src/engine/document';
import { measure } from '../bench/measure.mjs';
import { vitCheckpoint } from '../bench/vit.mjs';
import { ROOT } from '../reference/references';
import { LAYER, SIDE, singularValues, writeSparseCheckpoint } from './sparse';

const NO_PROC = process.platform === 'linux' ? false : 'memory is measured through /proc';
const allowedBytes = (largestLayerBytes: number): number => 300e6 + 4 * largestLayerBytes;

interface Run {
  readonly document: AuditDocument;
  readonly peakBytes: number;
}

async function auditProcess(file: string, folder: string, ...options: readonly string[]): Promise<Run> {
  const out = path.join(folder, 'audit.json');
  const cli = path.join(ROOT, 'dist/cli.js');
  const result = await measure(process.execPath, [
    cli,
    'audit',
    file,
    '--json',
    out,
    '--no-cache',
    ...options,
  ]);
  assert.equal(result.code, 0, result.stderr);
  assert.ok(result.peakBytes !== undefined && result.peakBytes > 10e6, 'memory was measured');
  // Written by the command under test, whose schema has tests of its own.
  return { document: JSON.parse(readFileSync(out, 'utf8')) as AuditDocument, peakBytes: result.peakBytes };
}

/** Smallest r whose leading values hold `level` of the energy. */
function energyRank(sigma: Float64Array, level: number): number {
  const total = sigma.reduce((sum, value) => sum + value * value, 0);
  let held = 0;
  return sigma.findIndex((value) => (held += value * value) >= level * total) + 1;
}

function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-memory-'));
  return body(folder).finally(() => {
    rmSync(folder, { recursive: true });
  });
}

describe('peak memory does not depend on the size of the file', { skip: NO_PROC }, () => {
  test('one 4096 × 4096 layer selected from 13 GB', async (context) => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'sparse.safetensors');
      if (!writeSparseCheckpoint(file)) {
        context.skip('this file system keeps no holes');
        return;
      }
      const { document, peakBytes } = await auditProcess(
        file,
        folder,
        '--spectra',
        '--layers',
        '^blocks\\.24\\.',
      );
      const bound = allowedBytes(4 * SIDE * SIDE);
      context.diagnostic(`peak ${(peakBytes / 1e6).toFixed(0)} MB of ${(bound / 1e6).toFixed(0)} MB allowed`);
      assert.ok(peakBytes <= bound, `peak memory ${peakBytes} bytes is over ${bound}`);
      assert.deepEqual(
        document.layers.map(({ name }) => name),
        [LAYER],
      );
      const [layer] = document.layers;
      assert.equal(layer?.rank, energyRank(singularValues, 0.9999));
      assert.equal(layer.energyRanks['0.9'], energyRank(singularValues, 0.9));
      const error = Math.max(
        ...singularValues.map((value, i) => Math.abs(value - (layer.singularValues?.[i] ?? NaN))),
      );
      assert.ok(error <= 2e-8, `singular values are off by ${error}`);
    });
  });

  test('a ViT-B of 345 MB', async (context) => {
    await withFolder(async (folder) => {
      const { document, peakBytes } = await auditProcess(vitCheckpoint(), folder);
      assert.equal(document.layers.length, 50);
      const largest = Math.max(...document.layers.map(({ shape: [rows, columns] }) => 4 * rows * columns));
      const bound = allowedBytes(largest);
      context.diagnostic(`peak ${(peakBytes / 1e6).toFixed(0)} MB of ${(bound / 1e6).toFixed(0)} MB allowed`);
      assert.ok(peakBytes <= bound, `peak memory ${peakBytes} bytes is over ${bound}`);
    });
  });
});
