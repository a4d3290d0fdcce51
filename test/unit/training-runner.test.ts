/** Runs in processes of their own, as users start them: to the end, stopped, killed, resumed, lost, gone wrong. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { listLayers } from '../../src/checkpoint/layers';
import { openCheckpoint } from '../../src/checkpoint/open';
import { trainingDocument } from '../../src/engine/trainingDocument';
import {
  deleteTraining,
  launcherOf,
  outlineTraining,
  resumeTraining,
  runsOf,
  startTraining,
  stopTraining,
} from '../../src/engine/train';
import type { SweepRecipe } from '../../src/training/recipe';
import type { RunSummary } from '../../src/training/run/run';
import { isOver, readEvents, runPaths } from '../../src/training/run/runFolder';
import { watchRuns } from '../../src/training/watch';
import { Ajv } from 'ajv';
import schema from '../../media/schema/training.schema.json';
import { temporaryFolder } from '../fixtures/handmade';

const NEVER = new AbortController().signal;
const USING = { trusted: true, backend: 'wasm', settings: {}, jobs: 2 };

interface Field {
  readonly training?: object;
  readonly network?: object;
  readonly data?: object;
}

/** A recipe that trains in a second. */
function recipeIn(folder: string, { training, network, data }: Field = {}): string {
  const file = path.join(folder, 'field.rankscope.json');
  const recipe = {
    schema: 'rankscope/recipe@1',
    network: { kind: 'coordinates', width: 16, forms: [{ kind: 'sine', rank: 1 }], ...network },
    data: { kind: 'occupancy', solid: 'torus', resolution: 10, ...data },
    training: { steps: 60, batchSize: 64, evaluate: { everySteps: 20 }, ...training },
  };
  writeFileSync(file, JSON.stringify(recipe));
  return file;
}

const start = (file: string, sweep?: SweepRecipe) => startTraining({ ...USING, path: file, sweep }, NEVER);

/** Follows the runs until it is enough. */
function follow(
  recipe: string,
  isEnough: (runs: readonly RunSummary[]) => boolean,
): Promise<readonly RunSummary[]> {
  return watchRuns({
    recipe,
    launcherOf: launcherOf(USING),
    signal: AbortSignal.timeout(60_000),
    onRun: () => undefined,
    onGone: () => undefined,
    onEvents: () => undefined,
    isEnough,
  });
}

const untilOver = (recipe: string) =>
  follow(recipe, (runs) => runs.every(({ status }) => isOver(status.state)));

/** Slow enough to be caught in the middle, with a checkpoint every few steps. */
const LONG = { steps: 1500, checkpointMinutes: 0.001, evaluate: { everySteps: 500, utilization: false } };

const isDocument = new Ajv({ validateFormats: false }).compile(schema);

const step = (runs: readonly RunSummary[]) => runs[0]?.status.checkpoint?.step ?? 0;

function only(runs: readonly RunSummary[]): RunSummary {
  const [run, more] = runs;
  assert.ok(run !== undefined && more === undefined);
  return run;
}

describe('a run', () => {
  test('trains, tells, and leaves a model that can be audited', async () => {
    const { folder } = temporaryFolder();
    const file = recipeIn(folder);
    const { command } = await start(file);
    assert.match(command, /trainer\.js/);
    const run = only(await untilOver(file));
    const { state, step: made, steps, metric, best, parameters, backend } = run.status;
    assert.deepEqual([state, made, steps, metric, backend?.name], ['done', 60, 60, 'iou', 'wasm']);
    // 3·16 + 16, twice (16 + 16)·1 + 16, and 16 + 1.
    assert.deepEqual(parameters, { trained: 177, total: 177, dense: 625 });
    const events = readEvents(run.folder);
    const evaluations = events.filter((event) => event.kind === 'evaluation');
    assert.deepEqual(
      evaluations.map((event) => event.step),
      [0, 20, 40, 60],
    );
    assert.equal(best?.value, Math.max(...evaluations.map(({ value }) => value)));
    const looks = events.filter((event) => event.kind === 'utilization');
    assert.deepEqual(
      looks.at(-1)?.layers.map(({ name, maxRank }) => [name, maxRank]),
      [
        ['layers.0.weight', 3],
        ['layers.1.weight', 16],
        ['layers.2.weight', 16],
      ],
    );
    const model = await openCheckpoint(runPaths(run.folder).model);
    assert.match(model.format, /sine-low-rank factors/);
    const { layers } = listLayers(model);
    const inner = layers.find(({ name }) => name === 'layers.1.weight');
    assert.deepEqual(inner?.tensor.shape, [16, 16]);
    const document = trainingDocument(file, [run], new Date(), command);
    assert.ok(isDocument(JSON.parse(JSON.stringify(document))), JSON.stringify(isDocument.errors));
    const [summary] = document.runs;
    assert.equal(summary?.compressionRate, 177 / 625);
  });

  test('keeps the model of its best evaluation when it is asked to', async () => {
    const { folder } = temporaryFolder();
    // Far too fast: what is learned first is lost again.
    const optimizer = { kind: 'sgd', learningRate: 0.05, momentum: 0.9 };
    const evaluate = { everySteps: 10, utilization: false, keepBest: true };
    const file = recipeIn(folder, { training: { steps: 60, optimizer, evaluate } });
    await start(file);
    const { folder: at, status } = only(await untilOver(file));
    const { best, model } = runPaths(at);
    const origin = (name: string): unknown => /"step\\":(\d+)/.exec(readFileSync(name, 'latin1'))?.[1];
    assert.equal(origin(best), String(status.best?.step));
    assert.equal(origin(model), '60');
    assert.equal(
      readFileSync(best).equals(readFileSync(model)),
      status.best?.step === 60,
      'another model, unless the last is the best',
    );
  });

  test('killed in the middle goes on from its checkpoint, to the same bits', async () => {
    const { folder } = temporaryFolder();
    const optimizer = { kind: 'adamw', learningRate: 0.003 };
    const file = recipeIn(folder, { training: { ...LONG, optimizer, ema: 0.9, seed: 3 } });
    await start(file);
    const before = only(await follow(file, (runs) => step(runs) >= 200));
    process.kill(before.launch?.pid ?? NaN, 'SIGKILL');
    const lost = only(await untilOver(file));
    assert.equal(lost.status.state, 'lost');
    await resumeTraining([lost.folder], USING, NEVER);
    const resumed = only(await untilOver(file));
    assert.deepEqual([resumed.status.state, resumed.launch?.attempt], ['done', 2]);
    await start(file);
    const all = await untilOver(file);
    const whole = all.find(({ folder: other }) => other !== resumed.folder);
    assert.ok(whole !== undefined);
    assert.deepEqual(resumed.status.best, whole.status.best);
    const [a, b] = [resumed, whole].map((run) =>
      readEvents(run.folder)
        .filter((event) => event.kind === 'evaluation')
        .map(({ step: at, value, loss }) => [at, value, loss]),
    );
    assert.deepEqual(a, b);
    const [mine, theirs] = [resumed, whole].map((run) => tensorsOf(run));
    assert.deepEqual(mine, theirs);
  });

  test('stops with a checkpoint when asked to, and goes on', async () => {
    const { folder } = temporaryFolder();
    const file = recipeIn(folder, { training: { ...LONG, checkpointMinutes: 10 } });
    await start(file);
    const running = only(await follow(file, ([run]) => (run?.status.step ?? 0) > 0));
    await stopTraining([running.folder], false, USING, NEVER);
    const stopped = only(await untilOver(file));
    assert.equal(stopped.status.state, 'stopped');
    const kept = step([stopped]);
    assert.ok(kept > 0 && kept < 1500, `${kept}`);
    await assert.rejects(
      resumeTraining([stopped.folder], { ...USING, trusted: false }, NEVER),
      /trust the workspace/,
    );
    await resumeTraining([stopped.folder], USING, NEVER);
    await follow(file, (runs) => step(runs) === kept && runs[0]?.status.state === 'running');
    await assert.rejects(deleteTraining([stopped.folder], USING, NEVER), /is running: stop it first/);
    const done = only(await untilOver(file));
    assert.equal(done.status.state, 'done');
    await deleteTraining([done.folder], USING, NEVER);
    assert.ok(!existsSync(path.dirname(done.folder)));
  });

  test('that diverges ends, and keeps its last good checkpoint', async () => {
    const { folder } = temporaryFolder();
    const network = { activation: 'relu', forms: [] };
    const optimizer = { kind: 'sgd', learningRate: 1e12 };
    const schedule = { kind: 'constant', warmupSteps: 3000 };
    const file = recipeIn(folder, {
      network,
      training: { ...LONG, optimizer, schedule, checkpointMinutes: 1e-5 },
    });
    await start(file);
    const run = only(await untilOver(file));
    assert.equal(run.status.state, 'diverged');
    assert.match(run.status.message ?? '', /at step \d+: (the last good|no) checkpoint/);
    if (!run.files.checkpoint) return;
    const values = tensorsOf(run, 'checkpoint');
    assert.ok(values.every(([, numbers]) => numbers.every(Number.isFinite)));
  });

  test('without its data fails in one line', async () => {
    const { folder } = temporaryFolder();
    const file = recipeIn(folder, { data: { kind: 'occupancy', mesh: 'none.obj', solid: undefined } });
    await start(file);
    const run = only(await untilOver(file));
    assert.equal(run.status.state, 'failed');
    assert.match(run.status.message ?? '', /none\.obj: not found/);
    assert.ok(!run.status.message?.includes('\n'));
  });
});

describe('a sweep', () => {
  test('makes a run of every combination, and holds them against each other', async () => {
    const { folder } = temporaryFolder();
    const file = recipeIn(folder, { training: { steps: 20, evaluate: { everySteps: 20 } } });
    const sweep: SweepRecipe = { form: ['dense', 'low-rank', 'sine'], rank: [1, 2], seed: [0, 1] };
    const outline = await outlineTraining({ ...USING, path: file, sweep }, NEVER);
    assert.equal(outline.runs.length, 10);
    await start(file, sweep);
    const runs = await untilOver(file);
    assert.deepEqual(new Set(runs.map(({ status }) => status.state)), new Set(['done']));
    assert.equal(new Set(runs.map(({ record }) => record.group)).size, 1);
    const document = trainingDocument(file, runs, new Date());
    assert.ok(isDocument(JSON.parse(JSON.stringify(document))), JSON.stringify(isDocument.errors));
    const { comparison } = document;
    assert.deepEqual(comparison.map(({ label }) => label).sort(), [
      'dense',
      'low-rank, k = 1',
      'low-rank, k = 2',
      'sine-low-rank, k = 1',
      'sine-low-rank, k = 2',
    ]);
    for (const { runs: members, deviation } of comparison) {
      assert.equal(members.length, 2);
      assert.ok(deviation !== undefined);
    }
  });

  test('can be stopped while runs wait for their turn', async () => {
    const { folder } = temporaryFolder();
    const file = recipeIn(folder, { training: LONG });
    const { runs } = await startTraining(
      { ...USING, path: file, sweep: { seed: [0, 1, 2] }, jobs: 1 },
      NEVER,
    );
    await follow(file, (all) => all.some(({ status }) => (status.step ?? 0) > 0));
    await stopTraining(
      runs.map((run) => run.folder),
      false,
      USING,
      NEVER,
    );
    const ended = await untilOver(file);
    assert.deepEqual(
      ended.map(({ status }) => status.state),
      ['stopped', 'stopped', 'stopped'],
    );
  });

  test('of too much, or of what cannot be, is refused before anything is made', async () => {
    const { folder } = temporaryFolder();
    const file = recipeIn(folder, { network: { forms: [] } });
    await assert.rejects(start(file, { form: ['sine'] }), /the form "sine" needs a rank/);
    const many = Array.from({ length: 40 }, (_, i) => i + 1);
    await assert.rejects(
      start(file, { seed: many, learningRate: many }),
      /the sweep has 1600 runs, more than 1000/,
    );
    await assert.rejects(
      startTraining({ ...USING, trusted: false, path: file }, NEVER),
      /trust the workspace/,
    );
    assert.deepEqual(await runsOf(file, USING, NEVER), []);
  });
});

function tensorsOf(
  run: RunSummary,
  file: 'model' | 'checkpoint' = 'model',
): readonly (readonly [string, readonly number[]])[] {
  const name = runPaths(run.folder)[file];
  const bytes = readFileSync(name);
  const length = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  return Object.entries(header).map(
    ([
      tensor,
      {
        data_offsets: [from, to],
      },
    ]) => {
      const part = Uint8Array.from(bytes.subarray(8 + length + from, 8 + length + to));
      return [tensor, [...new Float32Array(part.buffer)]] as const;
    },
  );
}
