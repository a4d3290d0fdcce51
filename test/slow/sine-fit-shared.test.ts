/** Sine-low-rank against truncated SVD on every layer at least 48 wide of real checkpoints, at 5 % and 15 % of its width. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { listLayers } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { createWasmBackend, type ComputeBackend } from '../../src/compute';
import { factorization } from '../../src/lowrank';
import { sharedData } from '../reference/references';

const FILES = [
  'resnet_cifar10/resnet20-12fca82f.th',
  'resnet_cifar10/resnet32-d509ac18.th',
  'nerf_lowres_ckpt/lego-lowres/checkpoint199999.ckpt',
  'tinygpt_shakespeare/shakespeare_gpt.pt',
  'vit_cifar10_small/vit_model.pth',
  'vit_cifar10_small/resnet4_model.pth',
];
const LEAST_WIDTH = 48;
const SHARES = [0.05, 0.15];
/** What a fit may be worse than truncated SVD, of ‖W‖. */
const TOLERANCE = 1e-4;
/** Geometric mean of sine ÷ SVD error over all layers and both ranks. */
const MOST_RATIO = 0.98;

interface Row {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly share: number;
  readonly rank: number;
  readonly error: number;
  readonly svdError: number;
}

const folder = sharedData();
const ratioOf = ({ error, svdError }: Row): number => error / svdError;
const geometricMean = (rows: readonly Row[]): number =>
  Math.exp(rows.reduce((sum, row) => sum + Math.log(ratioOf(row)), 0) / rows.length);

async function fitFile(file: string, backend: ComputeBackend): Promise<Row[]> {
  const { layers } = listLayers(await openCheckpoint(file));
  const wide = layers.filter(({ shape }) => Math.min(...shape) >= LEAST_WIDTH);
  const jobs = wide.flatMap(({ name, tensor, shape, matrices, transposed = false }) =>
    SHARES.map(async (share): Promise<Row> => {
      const [matrix] = matrices;
      assert.ok(matrix !== undefined && matrices.length === 1, `${name} is one matrix`);
      const rank = Math.max(1, Math.round(share * Math.min(...shape)));
      const target = { tensor, matrix, transposed };
      const settings = { rank, seed: 0 };
      const result = await factorization('sine').fit(target, settings, backend, new AbortController().signal);
      assert.ok(result.kind === 'fit', name);
      const { relativeError, svdRelativeError } = result.fit;
      return { name, shape, share, rank, error: relativeError, svdError: svdRelativeError };
    }),
  );
  return Promise.all(jobs);
}

describe(
  'on real checkpoints sine-low-rank',
  { skip: folder === undefined && 'the shared checkpoints are not here' },
  () => {
    const all: Row[] = [];
    for (const file of FILES)
      test(`is never worse than truncated SVD: ${file}`, async (context) => {
        const backend = createWasmBackend();
        try {
          const full = path.join(folder ?? '', file);
          assert.ok(existsSync(full), full);
          const rows = await fitFile(full, backend);
          assert.ok(rows.length > 0);
          all.push(...rows);
          for (const row of rows)
            context.diagnostic(
              `${row.name} ${row.shape.join('×')} k=${row.rank}: ${row.error.toFixed(4)} against ${row.svdError.toFixed(4)}, ratio ${ratioOf(row).toFixed(4)}`,
            );
          for (const share of SHARES) {
            const of = rows.filter((row) => row.share === share);
            context.diagnostic(
              `${of.length} layers at ${share * 100} %: ratio ${geometricMean(of).toFixed(4)}`,
            );
          }
          for (const row of rows) assert.ok(row.error <= row.svdError + TOLERANCE, row.name);
        } finally {
          await backend.dispose();
        }
      });

    test(`is better by a geometric mean of ${MOST_RATIO} or less`, (context) => {
      const ratio = geometricMean(all);
      const worst = [...all].sort((a, b) => ratioOf(b) - ratioOf(a))[0];
      context.diagnostic(
        `${all.length} fits: ratio ${ratio.toFixed(4)}; at most ${worst === undefined ? '' : `${ratioOf(worst).toFixed(6)} (${worst.name})`}`,
      );
      assert.ok(ratio <= MOST_RATIO);
    });
  },
);
