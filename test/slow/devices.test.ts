/** Both graphics backends on stand-ins that a processor plays: real files, the built program, wasm's own ranks. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import type { ConversionDocument } from '../../src/engine/conversionDocument';
import type { AuditDocument } from '../../src/engine/document';
import { ROOT, sharedData } from '../reference/references';
import { softwareGpu } from '../unit/softwareGpu';
import { WITHOUT_TENSORFLOW, tensorflowFolder } from '../unit/tensorflowCpu';

const CLI = path.join(ROOT, 'dist/cli.js');
const shared = sharedData();
const cache = mkdtempSync(path.join(tmpdir(), 'rankscope-devices-'));
after(() => {
  rmSync(cache, { recursive: true, force: true });
});

const FILES = [
  path.join(ROOT, 'media/sample/sample.safetensors'),
  ...(shared === undefined
    ? []
    : ['resnet20-12fca82f.th', 'resnet32-d509ac18.th'].map((name) =>
        path.join(shared, 'resnet_cifar10', name),
      )),
];

function audit(backend: string, file: string, env: NodeJS.ProcessEnv): AuditDocument {
  const argv = [CLI, 'audit', file, '--backend', backend, '--no-cache', '--json', '-'];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
    encoding: 'utf8',
    env: { ...process.env, RANKSCOPE_CACHE: cache, ...env },
    maxBuffer: 1 << 28,
  });
  assert.equal(status, 0, stderr);
  assertOnlyStandsIn(backend, stderr);
  // The program's own document.
  return JSON.parse(stdout) as AuditDocument;
}

/** A device that failed, or was not there, says so: these numbers would be the processor's. */
function assertOnlyStandsIn(backend: string, stderr: string): void {
  const expected =
    backend === 'wasm' ? /^$/ : /^rankscope: \w+ computes on [^\n]*, which is no graphics card\n$/;
  assert.match(stderr, expected);
}

/** A layer that a sine gains on: the descent runs on the device. */
function assertFits(backend: string, env: NodeJS.ProcessEnv): void {
  const out = mkdtempSync(path.join(cache, 'fit-'));
  const [file = ''] = FILES;
  const argv = [
    'convert',
    file,
    '--layers',
    '^conv3',
    '--rank',
    '5',
    '--no-cache',
    '--out',
    out,
    '--json',
    '-',
  ];
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...argv, '--backend', backend], {
    encoding: 'utf8',
    env: { ...process.env, RANKSCOPE_CACHE: cache, ...env },
  });
  assert.equal(status, 0, stderr);
  assertOnlyStandsIn(backend, stderr);
  // The program's own document.
  const { layers } = JSON.parse(stdout) as ConversionDocument;
  const [fit] = layers.filter((layer) => layer.outcome === 'converted');
  assert.ok(fit !== undefined && fit.relativeError < 0.98 * fit.svdRelativeError, JSON.stringify(fit));
}

function assertEqualRanks(backend: string, env: NodeJS.ProcessEnv): void {
  for (const file of FILES) {
    const [found, expected] = [audit(backend, file, env), audit('wasm', file, {})];
    assert.equal(found.backend.name, backend);
    const ranks = ({ layers }: AuditDocument) =>
      layers.map(({ name, rank, energyRanks, utilization }) => ({ name, rank, energyRanks, utilization }));
    assert.deepEqual(ranks(found), ranks(expected));
    for (const [i, { name, spectralNorm, stableRank }] of found.layers.entries()) {
      const other = expected.layers[i];
      assert.ok(other !== undefined);
      assert.ok(Math.abs(spectralNorm - other.spectralNorm) <= 2e-8 * other.spectralNorm, name);
      assert.ok(Math.abs(stableRank - other.stableRank) <= 1e-6 * other.stableRank, name);
    }
  }
}

describe('a graphics backend', () => {
  const gpu = softwareGpu();
  test('webgpu audits to wasm’s ranks', { skip: typeof gpu === 'string' && gpu }, () => {
    assertEqualRanks('webgpu', typeof gpu === 'string' ? {} : gpu.env);
  });

  test(
    'webgpu fits sine-low-rank factors better than truncated SVD',
    { skip: typeof gpu === 'string' && gpu },
    () => {
      assertFits('webgpu', typeof gpu === 'string' ? {} : gpu.env);
    },
  );

  test('tensorflow audits to wasm’s ranks', { skip: WITHOUT_TENSORFLOW }, async () => {
    assertEqualRanks('tensorflow', { RANKSCOPE_TENSORFLOW: await tensorflowFolder() });
  });

  test(
    'tensorflow fits sine-low-rank factors better than truncated SVD',
    { skip: WITHOUT_TENSORFLOW },
    async () => {
      assertFits('tensorflow', { RANKSCOPE_TENSORFLOW: await tensorflowFolder() });
    },
  );
});
