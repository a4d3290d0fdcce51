/** A measurement from the editor: what the engine is asked, what the page is told, what new recipes say. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from '../../src/engine/connection';
import type { LayerUtilization, Probe, UtilizationDocument } from '../../src/engine/utilizationDocument';
import type { UtilizeParams } from '../../src/engine/utilizationProtocol';
import type { EngineClient, JobListener } from '../../src/extension/engineClient';
import {
  isRecipe,
  isRunnableModel,
  measuredStem,
  namesFile,
  programFor,
} from '../../src/extension/measurement/recipeNames';
import { recipeTemplate } from '../../src/extension/measurement/recipeTemplate';
import { UtilizationFeed } from '../../src/extension/measurement/utilizationFeed';
import { UtilizationRunner } from '../../src/extension/measurement/utilizationRunner';
import type { NetworkFacts } from '../../src/network/network';
import { parseRecipe } from '../../src/network/readRecipe';
import type { ToUtilization } from '../../webview/measurement/protocol';

/** Long enough for every message that is due. */
const SETTLED_MS = 150;

const PARAMS = { path: '/r.rankscope.json', trusted: true } as const;

const network: NetworkFacts = {
  ...{ host: 'mlp', runtime: 'tfjs', metric: 'accuracy', gramSamples: 50, validationSamples: 30 },
  ...{ parameters: 1000, identity: 'a', notes: [] },
};
const backend = { name: 'wasm', build: 'wasm simd 1', threads: 2, why: 'it was asked for' };

const probe = (pass: number): Probe => ({
  ...{ pass, side: 'input', k: 10 - pass, value: 90, threshold: 89.9, passed: true },
});

const layer = (name: string): LayerUtilization => ({
  ...{ name, kind: 'linear', shape: [10, 20], maxRank: 10, rank: 10, kS: 6, kT: 3, energyS: 1, energyT: 1 },
  ...{ utilizedRank: 3, utilization: 0.3, decomposable: true, error: { measured: 0, bound: 0 } },
  ...{ parametersBefore: 200, parametersAfter: 90, flopsBefore: 400, flopsAfter: 180 },
  ...{ probes: [probe(0)], inputEnergies: [0.75, 0.25], outputEnergies: [1] },
});

const opened = (names: readonly string[], more: { resumedProbes?: number; identity?: string } = {}) => ({
  ...{ job: 1, backend, before: 90, resumedProbes: more.resumedProbes ?? 0 },
  network: { ...network, identity: more.identity ?? network.identity },
  layers: names.map((name) => ({ name, shape: [10, 20] as const, rank: 10 })),
});

function documentOf(names: readonly string[]): UtilizationDocument {
  return {
    ...{ schema: 'rankscope/utilization@1', tool: { name: 'rankscope', version: '0' }, network },
    ...{ backend, startedAt: '2026-01-01T00:00:00Z', seconds: 2, mode: 'cumulative', delta: 0.5 },
    ...{ layers: names.map(layer), skipped: [], notes: [] },
    summary: {
      ...{ layers: names.length, mluOriginal: 1, mlu: 0.3, parametersBefore: 1000, parametersAfter: 890 },
      ...{ flopsBefore: 1, flopsAfter: 1, decomposableLayers: 1, passes: 2, notSearched: 0 },
    },
  };
}

interface Job {
  readonly method: string;
  readonly params: UtilizeParams;
  readonly listener: JobListener;
  readonly finish: (document: UtilizationDocument) => void;
  readonly fail: (reason: string) => void;
}

/** An engine whose jobs the test speaks for; cancelling one ends it as the real one does. */
function scriptedEngine() {
  const jobs: Job[] = [];
  let last = 0;
  const run = (method: string, params: UtilizeParams, listener: JobListener, signal: AbortSignal) =>
    new Promise<UtilizationDocument>((resolve, reject) => {
      const fail = (reason: string): void => {
        reject(new EngineError(reason, false));
      };
      jobs.push({ method, params, listener, finish: resolve, fail });
      signal.addEventListener('abort', () => {
        reject(new EngineError('cancelled', true));
      });
    });
  // Only `utilize` is asked of it here.
  const engine = { newJob: () => ++last, run } as unknown as Pick<EngineClient, 'run' | 'newJob'>;
  return { jobs, engine };
}

function panel() {
  const page: ToUtilization[] = [];
  const feed = new UtilizationFeed((message) => page.push(message), {
    ...{ roundMs: 5, pauseMs: 1, valuesPerMessage: 1000 },
  });
  const { jobs, engine } = scriptedEngine();
  const active = { count: 0 };
  const activity = {
    started: () => {
      active.count++;
    },
    backend: () => undefined,
    progress: () => undefined,
    ended: () => {
      active.count--;
    },
  };
  const settings = () => ({ cache: true, threads: 2 });
  const runner = new UtilizationRunner(engine, feed, settings, activity, (reason) => reason);
  feed.attach();
  const job = (index: number): Job => {
    const found = jobs[index];
    assert.ok(found, `job ${index}`);
    return found;
  };
  return { page, feed, runner, job, active };
}

const kinds = (page: readonly ToUtilization[]): string[] => page.map(({ type }) => type);

describe('a measurement from the editor', () => {
  test('always goes on where an earlier one stopped, and streams what the search does', async () => {
    const { page, runner, job } = panel();
    const running = runner.start({ ...PARAMS, python: '/usr/bin/python3' });
    const { method, params, listener, finish } = job(0);
    assert.equal(method, 'utilize');
    assert.deepEqual(params, { ...PARAMS, python: '/usr/bin/python3', job: 1, resume: true, threads: 2 });
    listener.utilizationOpened?.(opened(['a']));
    listener.utilizationStage?.({ job: 1, stage: { kind: 'grams' } });
    listener.utilizationProbe?.({ job: 1, layer: 'a', probe: probe(0) });
    listener.utilizationLayer?.({ job: 1, index: 0, layer: layer('a') });
    listener.progress?.({ job: 1, progress: { done: 1, total: 1, fraction: 1 } });
    finish(documentOf(['a']));
    await running;
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['opened', 'layers', 'probes', 'stage', 'progress', 'done']);
    const [sent] = page.flatMap((message) => (message.type === 'layers' ? message.layers : []));
    assert.ok(sent !== undefined);
    assert.deepEqual(sent.layer.inputEnergies, Float64Array.of(0.75, 0.25));
    assert.equal(Object.keys(sent.layer).includes('probes'), false, 'probes come by themselves');
  });

  test('tells a page that was hidden everything again, probes and stage too, but each only once', async () => {
    const { page, runner, job, feed } = panel();
    const running = runner.start(PARAMS);
    const { listener } = job(0);
    listener.utilizationOpened?.(opened(['a', 'b']));
    listener.utilizationProbe?.({ job: 1, layer: 'a', probe: probe(0) });
    await sleep(SETTLED_MS);
    listener.utilizationProbe?.({ job: 1, layer: 'a', probe: probe(1) });
    listener.utilizationStage?.({ job: 1, stage: { kind: 'subspaces' } });
    await sleep(SETTLED_MS);
    const passes = (messages: readonly ToUtilization[]) =>
      messages.flatMap((message) =>
        message.type === 'probes' ? message.probes.map((one) => one.probe.pass) : [],
      );
    assert.deepEqual(passes(page), [0, 1]);
    feed.detach();
    page.splice(0);
    listener.utilizationProbe?.({ job: 1, layer: 'a', probe: probe(2) });
    await sleep(SETTLED_MS);
    assert.deepEqual(page, [], 'nobody listens');
    feed.attach();
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['opened', 'probes', 'stage']);
    assert.deepEqual(passes(page), [0, 1, 2]);
    job(0).finish(documentOf(['a']));
    await running;
  });

  test('begins afresh in another engine, which tells the kept probes again, and says why', async () => {
    const { page, runner, job, feed } = panel();
    const running = runner.start(PARAMS);
    const { listener, finish } = job(0);
    listener.utilizationOpened?.(opened(['a']));
    listener.utilizationProbe?.({ job: 1, layer: 'a', probe: probe(0) });
    await sleep(SETTLED_MS);
    listener.restarted('signal SIGKILL');
    listener.utilizationOpened?.(opened(['a'], { resumedProbes: 1 }));
    listener.utilizationProbe?.({ job: 1, layer: 'a', probe: probe(0) });
    listener.utilizationProbe?.({ job: 1, layer: 'a', probe: probe(1) });
    listener.utilizationLayer?.({ job: 1, index: 0, layer: layer('a') });
    finish(documentOf(['a']));
    await running;
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page), ['opened', 'probes', 'opened', 'notice', 'layers', 'probes', 'done']);
    assert.equal(feed.state.probes, 2);
    assert.deepEqual(feed.state.notices, ['signal SIGKILL']);
  });

  test('is cancelled and gone on with; one that was replaced says nothing any more', async () => {
    const { page, runner, job, feed, active } = panel();
    const first = runner.start(PARAMS);
    job(0).listener.utilizationOpened?.(opened(['a']));
    runner.cancel();
    await first;
    assert.equal(feed.state.status, 'cancelled');
    assert.equal(active.count, 0);
    const second = runner.start(PARAMS);
    assert.equal(job(1).params.resume, true);
    job(0).listener.utilizationProbe?.({ job: 1, layer: 'a', probe: probe(0) });
    assert.equal(feed.state.probes, 0);
    job(1).fail('load.py:12: no module named nets');
    await second;
    await sleep(SETTLED_MS);
    assert.equal(feed.state.message, 'load.py:12: no module named nets');
    assert.equal(page.at(-1)?.type, 'failed');
  });
});

describe('writing the decomposed checkpoint', () => {
  /** A panel whose measurement is over. */
  async function finished() {
    const made = panel();
    const running = made.runner.start(PARAMS);
    made.job(0).listener.utilizationOpened?.(opened(['a']));
    made.job(0).listener.utilizationLayer?.({ job: 1, index: 0, layer: layer('a') });
    const shown = documentOf(['a']);
    made.job(0).finish(shown);
    await running;
    await sleep(SETTLED_MS);
    made.page.splice(0);
    const decomposing = made.runner.decompose({ ...PARAMS, decompose: '/d.safetensors' }, shown);
    return { ...made, shown, decomposing };
  }

  test('goes by the settings of the result, and leaves the result on show', async () => {
    const { page, job, feed, decomposing } = await finished();
    const { params, listener, finish } = job(1);
    assert.deepEqual(params, {
      ...{ ...PARAMS, job: 2, resume: true, threads: 2, decompose: '/d.safetensors' },
      ...{ mode: 'cumulative', delta: 0.5 },
    });
    listener.utilizationOpened?.(opened(['a'], { resumedProbes: 2 }));
    listener.utilizationProbe?.({ job: 2, layer: 'a', probe: probe(0) });
    listener.utilizationStage?.({ job: 2, stage: { kind: 'decomposing' } });
    await sleep(SETTLED_MS);
    assert.deepEqual([feed.state.status, feed.state.finishedLayers, feed.state.probes], ['done', 1, 0]);
    const document = { ...documentOf(['a']), files: { decomposed: '/d.safetensors' } };
    finish(document);
    assert.deepEqual(await decomposing, { kind: 'done', document });
    await sleep(SETTLED_MS);
    assert.deepEqual(kinds(page).at(-1), 'done');
    assert.ok(!kinds(page).includes('opened'));
    assert.equal(feed.document?.files?.decomposed, '/d.safetensors');
  });

  for (const [what, another] of [
    ['another network', opened(['a'], { identity: 'b', resumedProbes: 2 })],
    ['a search that knows less', opened(['a'], { resumedProbes: 1 })],
    ['other layers', opened(['a', 'b'], { resumedProbes: 2 })],
  ] as const)
    test(`stops at ${what}`, async () => {
      const { job, feed, decomposing, shown, active } = await finished();
      job(1).listener.utilizationOpened?.(another);
      assert.deepEqual(await decomposing, { kind: 'changed' });
      assert.equal(feed.document, shown);
      assert.equal(active.count, 0);
    });

  test('is cancelled, or fails with what the engine says; the result stays', async () => {
    const cancelled = await finished();
    cancelled.runner.cancel();
    assert.deepEqual(await cancelled.decomposing, { kind: 'cancelled' });
    assert.equal(cancelled.feed.document, cancelled.shown);
    const failing = await finished();
    failing.job(1).fail('/d.safetensors: is the measured checkpoint');
    await assert.rejects(failing.decomposing, /is the measured checkpoint/);
    assert.equal(failing.feed.state.status, 'done');
  });
});

describe('names of recipes and models', () => {
  test('tell recipes from models that run by themselves', () => {
    assert.deepEqual(['/a/net.rankscope.json', '/a/NET.RANKSCOPE.JSON', '/a/net.json'].map(isRecipe), [
      true,
      true,
      false,
    ]);
    assert.deepEqual(['/a/net.onnx', '/a/model.json', '/a/mymodel.json', '/a/net.pt'].map(isRunnableModel), [
      true,
      true,
      false,
      false,
    ]);
    assert.deepEqual(['/a/net.rankscope.json', '/a/net.onnx', '/a/net.tar.gz'].map(measuredStem), [
      'net',
      'net',
      'net.tar.gz',
    ]);
    assert.equal(programFor('/a/my net-2.rankscope.json'), 'my_net_2_load.py');
  });

  test('find a checkpoint in a recipe by its whole name', () => {
    const recipe = (checkpoint: string): string => JSON.stringify({ network: { checkpoint } });
    assert.ok(namesFile(recipe('../weights/net.pt'), '/m/net.pt'));
    assert.ok(namesFile(recipe('net.pt'), '/m/net.pt'));
    assert.ok(namesFile(recipe('odd "name".pt'), '/m/odd "name".pt'));
    assert.ok(!namesFile(recipe('resnet.pt'), '/m/net.pt'));
    assert.ok(!namesFile(recipe('net-pt'), '/m/net.pt'));
  });
});

describe('a new recipe', () => {
  test('is one that can be read', () => {
    const { recipe } = recipeTemplate('net_load.py', '../weights/net.pt');
    const { network: read, utilization } = parseRecipe(recipe, '/m/recipes/net.rankscope.json');
    assert.equal(read.kind, 'python');
    assert.deepEqual([read.file, read.function], ['/m/recipes/net_load.py', 'load']);
    assert.equal(read.checkpoint, '/m/weights/net.pt');
    assert.deepEqual([utilization.mode, utilization.delta], ['cumulative', 0.1]);
    assert.equal(
      parseRecipe(recipeTemplate('x.py', undefined).recipe, '/m/n.rankscope.json').network.kind,
      'python',
    );
  });

  const python = spawnSync('python3', ['--version']).status === 0;
  test('comes with a program that Python compiles', { skip: python ? false : 'no python3 here' }, () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-recipe-'));
    try {
      const file = path.join(folder, 'net_load.py');
      writeFileSync(file, recipeTemplate('net_load.py', 'odd "na\\me"\n.pt').python);
      const { status, stderr } = spawnSync('python3', ['-m', 'py_compile', file], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
