/** The host's side of a conversion: what the page is told, cancelled runs, an engine that is started again. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from '../../src/engine/connection';
import type { ConversionDocument, ConvertedLayer } from '../../src/engine/conversionDocument';
import type { ConvertParams } from '../../src/engine/conversionProtocol';
import { ConversionFeed } from '../../src/extension/conversion/conversionFeed';
import { ConversionRunner } from '../../src/extension/conversion/conversionRunner';
import { loadingLines } from '../../src/extension/conversion/loadingLines';
import type { EngineClient, JobListener } from '../../src/extension/engineClient';
import type { ToConversion } from '../../webview/conversion/protocol';

/** Long enough for every message that is due. */
const SETTLED_MS = 100;

const checkpoint = { path: '/m.pt', format: 'PyTorch', bytes: 10, tensors: 3, parameters: 2000 };
const backend = { name: 'wasm', build: 'wasm simd 1', threads: 2, why: 'it was asked for' };
const FACTS = { stableRank: 2, effectiveRank: 3, rank: 4 };
const COST = { parameters: 600, bytes: 2400, flops: 1200 };

const layer = (name: string): ConvertedLayer => ({
  ...{ name, kind: 'linear', shape: [20, 30], dtype: 'float32', outcome: 'converted', k: 3 },
  ...{ relativeError: 0.4, svdRelativeError: 0.5, before: COST, after: COST, seconds: 1 },
  spectrum: { before: FACTS, lowRank: FACTS, converted: FACTS },
  spectra: { original: [2, 1], lowRank: [2], converted: [2, 0.5] },
});

const document: ConversionDocument = {
  ...{ schema: 'rankscope/conversion@1', tool: { name: 'rankscope', version: '0' }, to: 'sine', seed: 0 },
  ...{ backend, checkpoint, startedAt: '2026-01-01T00:00:00Z', seconds: 2, layers: [] },
  ranks: { kind: 'rank', rank: 3 },
  summary: {
    ...{ converted: 1, dense: 0, parametersBefore: 2000, parametersAfter: 1100, compressionRate: 0.55 },
    ...{ bytesBefore: 8, bytesAfter: 4, meanErrorRatio: 0.8, flopsBefore: 1, flopsAfter: 1 },
  },
  files: { factors: '/it’s "odd"\n/m.safetensors', document: '/m.json', loader: '/l\\x/sine_lowrank.py' },
};

interface Job {
  readonly params: ConvertParams;
  readonly listener: JobListener;
  readonly finish: (document: ConversionDocument) => void;
}

/** An engine whose jobs the test speaks for; cancelling one ends it as the real one does. */
function scriptedEngine() {
  const jobs: Job[] = [];
  let last = 0;
  const run = (_method: string, params: ConvertParams, listener: JobListener, signal: AbortSignal) =>
    new Promise<ConversionDocument>((resolve, reject) => {
      jobs.push({ params, listener, finish: resolve });
      signal.addEventListener('abort', () => {
        reject(new EngineError('cancelled', true));
      });
    });
  // Only `convert` is asked of it here.
  const engine = { newJob: () => ++last, run } as unknown as Pick<EngineClient, 'run' | 'newJob'>;
  return { jobs, engine };
}

function panel() {
  const page: ToConversion[] = [];
  const feed = new ConversionFeed((message) => page.push(message), {
    ...{ roundMs: 5, pauseMs: 1, valuesPerMessage: 1000 },
  });
  const { jobs, engine } = scriptedEngine();
  const activity = {
    ...{
      started: () => undefined,
      backend: () => undefined,
      progress: () => undefined,
      ended: () => undefined,
    },
  };
  const runner = new ConversionRunner(
    ...([
      checkpoint.path,
      engine,
      feed,
      () => ({ cache: true }),
      activity,
      (reason: string) => reason,
    ] as const),
  );
  feed.attach();
  return { page, feed, runner, jobs };
}

const kinds = (page: readonly ToConversion[]): string[] => page.map(({ type }) => type);
const choices = { ranks: { kind: 'share', share: 0.15 }, materialize: true } as const;

describe('a conversion from the editor', () => {
  test('asks for what was chosen, and sends layers with spectra as typed arrays, the end last', async () => {
    const { page, runner, jobs } = panel();
    const running = runner.start({ ...choices, layers: 'fc', out: '/out' });
    const [job] = jobs;
    assert.ok(job);
    assert.deepEqual(job.params, {
      ...{ job: 1, path: '/m.pt', to: 'sine', ranks: choices.ranks, materialize: true },
      ...{ layers: 'fc', out: '/out', cache: true },
    });
    job.listener.conversionOpened?.({ job: 1, checkpoint, layerNames: ['a'], backend });
    job.listener.conversionLayer?.({ job: 1, index: 0, layer: layer('a') });
    job.listener.progress?.({ job: 1, progress: { done: 1, total: 1, fraction: 1 } });
    job.finish(document);
    await running;
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['opened', 'layers', 'progress', 'done']);
    const sent = page.flatMap((message) => (message.type === 'layers' ? message.layers : []));
    assert.deepEqual(sent[0]?.layer, {
      ...layer('a'),
      spectra: {
        ...{
          original: Float64Array.of(2, 1),
          lowRank: Float64Array.of(2),
          converted: Float64Array.of(2, 0.5),
        },
      },
    });
  });

  test('is cancelled, and a conversion that was replaced says nothing any more', async () => {
    const { page, runner, jobs, feed } = panel();
    const first = runner.start(choices);
    const second = runner.start(choices);
    await first;
    jobs[0]?.listener.conversionOpened?.({ job: 1, checkpoint, layerNames: ['a'], backend });
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), [], 'the first is not heard of');
    assert.equal(runner.isRunning, true);
    runner.cancel();
    await second;
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['cancelled']);
    assert.equal(feed.state.status, 'cancelled');
    assert.equal(runner.isRunning, false);
  });

  test('goes on in another engine without showing anything twice, and says so', async () => {
    const { page, runner, jobs } = panel();
    const running = runner.start(choices);
    const [job] = jobs;
    assert.ok(job);
    const opened = { job: 1, checkpoint, layerNames: ['a', 'b'], backend };
    job.listener.conversionOpened?.(opened);
    job.listener.conversionLayer?.({ job: 1, index: 0, layer: layer('a') });
    await sleep(SETTLED_MS);
    job.listener.restarted('signal SIGKILL');
    job.listener.conversionOpened?.(opened);
    job.listener.conversionLayer?.({ job: 1, index: 0, layer: layer('a') });
    job.listener.conversionLayer?.({ job: 1, index: 1, layer: layer('b') });
    job.finish(document);
    await running;
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['opened', 'layers', 'notice', 'layers', 'done']);
  });

  test('is told again in full to a page that was hidden', async () => {
    const { page, runner, jobs, feed } = panel();
    const running = runner.start(choices);
    jobs[0]?.listener.conversionOpened?.({ job: 1, checkpoint, layerNames: ['a'], backend });
    jobs[0]?.listener.conversionLayer?.({ job: 1, index: 0, layer: layer('a') });
    jobs[0]?.finish(document);
    await running;
    await sleep(SETTLED_MS);
    feed.detach();
    page.splice(0);
    feed.attach();
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['opened', 'layers', 'done']);
  });
});

describe('the Python lines', () => {
  test('name hostile paths in literals of plain ASCII', () => {
    const lines = loadingLines(document);
    assert.match(lines, /^[\n\x20-\x7e]*$/);
    assert.ok(lines.includes('sys.path.insert(0, "/l\\\\x")'));
    assert.ok(lines.includes('load_into(model, "/it\\u2019s \\"odd\\"\\n/m.safetensors")'));
  });
});
