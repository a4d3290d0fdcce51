/** Sweeps → runs; what a run's own words and its place's come to together. */
import assert from 'node:assert/strict';
import { appendFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { PlaceStatus } from '../../src/training/launchers/launcher';
import { parseTrainingRecipe } from '../../src/training/readRecipe';
import type { SweepRecipe } from '../../src/training/recipe';
import type { LaunchRecord, RunState, StateRecord } from '../../src/training/run/run';
import { Tail } from '../../src/training/run/tail';
import { stateOf } from '../../src/training/runs';
import { planRuns } from '../../src/training/sweep';
import { temporaryFolder } from '../fixtures/handmade';

const recipe = (network: object, training: object = {}) =>
  parseTrainingRecipe(
    JSON.stringify({
      schema: 'rankscope/recipe@1',
      network: { kind: 'coordinates', ...network },
      data: { kind: 'occupancy', solid: 'torus' },
      training: { steps: 1, ...training },
    }),
    path.resolve('/r/field.rankscope.json'),
  );

const labels = (network: object, sweep?: SweepRecipe) =>
  planRuns(recipe(network), sweep).map(({ label }) => label);

describe('a sweep', () => {
  const sine = { forms: [{ kind: 'sine', rank: 3, omega: 100, gain: 4 }] };

  test('without axes is the recipe itself', () => {
    const [run] = planRuns(recipe(sine, { seed: 7 }));
    assert.deepEqual(
      [run?.label, run?.form, run?.rank, run?.seed],
      ['sine-low-rank, k = 3, seed 7', 'sine', 3, 7],
    );
    assert.deepEqual(labels({}), ['dense, seed 0']);
    assert.deepEqual(labels({ checkpoint: 'a.safetensors' }), ['as in the checkpoint, seed 0']);
  });

  test('does not repeat what an axis says nothing about', () => {
    const found = labels(sine, { form: ['dense', 'low-rank', 'sine'], rank: [1, 2], omega: [100, 200] });
    assert.deepEqual(found, [
      'dense, seed 0',
      'low-rank, k = 1, seed 0',
      'low-rank, k = 2, seed 0',
      'sine-low-rank, k = 1, ω = 100, seed 0',
      'sine-low-rank, k = 1, ω = 200, seed 0',
      'sine-low-rank, k = 2, ω = 100, seed 0',
      'sine-low-rank, k = 2, ω = 200, seed 0',
    ]);
  });

  test('changes the form and keeps the layers that it is for', () => {
    const network = {
      forms: [
        { kind: 'sine', rank: 3, omega: 50, layers: 'a' },
        { kind: 'dense', layers: 'b' },
      ],
    };
    const [low] = planRuns(recipe(network), { form: ['low-rank'], rank: [2] });
    assert.deepEqual(low?.recipe.network?.forms, [
      { kind: 'low-rank', rank: 2, layers: 'a' },
      { kind: 'low-rank', rank: 2, layers: 'b' },
    ]);
    const [adapted] = planRuns(recipe({ forms: [{ kind: 'lora', rank: 2, alpha: 6 }] }), {
      form: ['sine-lora'],
    });
    assert.deepEqual(adapted?.recipe.network?.forms, [{ kind: 'sine-lora', rank: 2, alpha: 6 }]);
  });

  test('puts learning rates and seeds into the recipe of each run', () => {
    const runs = planRuns(recipe(sine), { learningRate: [0.1, 0.2], seed: [4, 5] });
    assert.deepEqual(
      runs.map(({ recipe: { training } }) => [training.optimizer.learningRate, training.seed]),
      [
        [0.1, 4],
        [0.1, 5],
        [0.2, 4],
        [0.2, 5],
      ],
    );
  });
});

describe('the state of a run', () => {
  const launch = (attempt: number): LaunchRecord => ({
    launcher: 'here',
    command: [],
    attempt,
    startedAt: '2024-01-01T00:00:00Z',
    host: 'a',
  });
  const said = (state: StateRecord['state'], attempt = 1): StateRecord => ({
    state,
    attempt,
    updatedAt: '2024-01-01T00:00:00Z',
    seconds: 0,
  });
  const place = (kind: PlaceStatus['kind']): PlaceStatus => ({ kind });

  const CASES: readonly (readonly [
    string,
    LaunchRecord | undefined,
    StateRecord | undefined,
    PlaceStatus | undefined,
    RunState,
  ])[] = [
    ['made, not launched', undefined, undefined, undefined, 'queued'],
    ['launched, silent', launch(1), undefined, place('alive'), 'queued'],
    ['launched, gone without a word', launch(1), undefined, place('gone'), 'lost'],
    ['runs', launch(1), said('running'), place('alive'), 'running'],
    ['runs, and cannot be asked', launch(1), said('running'), place('unknown'), 'running'],
    ['said that it runs, and is gone', launch(1), said('running'), place('gone'), 'lost'],
    ['was put back into the queue', launch(1), said('running'), place('waiting'), 'queued'],
    ['is over, whatever the place says', launch(1), said('done'), place('gone'), 'done'],
    ['was resumed, and has said nothing yet', launch(2), said('failed'), place('alive'), 'queued'],
    ['was resumed, and is gone again', launch(2), said('failed'), place('gone'), 'lost'],
  ];
  for (const [name, launched, state, at, wanted] of CASES)
    test(name, () => {
      const run = { ...(launched && { launch: launched }), ...(state && { state }) };
      assert.equal(stateOf(run, at), wanted);
    });
});

describe('the tail of a file', () => {
  test('gives whole lines, once, and begins again when the file does', async () => {
    const { folder } = temporaryFolder();
    const file = path.join(folder, 'metrics.jsonl');
    const tail = new Tail(file);
    assert.deepEqual(await tail.read(), { reset: false, lines: [], more: false });
    writeFileSync(file, 'one\ntw');
    assert.deepEqual((await tail.read()).lines, ['one']);
    assert.equal(tail.unfinished, 'tw');
    appendFileSync(file, 'o\nthree ω\n');
    assert.deepEqual((await tail.read()).lines, ['two', 'three ω']);
    assert.deepEqual((await tail.read()).lines, []);
    writeFileSync(path.join(folder, 'new'), 'one\nother\nlonger than before, by far\n');
    renameSync(path.join(folder, 'new'), file);
    assert.deepEqual(await tail.read(), {
      reset: true,
      lines: ['one', 'other', 'longer than before, by far'],
      more: false,
    });
    writeFileSync(file, 'x\n');
    assert.deepEqual(await tail.read(), { reset: true, lines: ['x'], more: false });
  });

  test('holds no more of a line than can be shown, however long it is', async () => {
    const { folder } = temporaryFolder();
    const file = path.join(folder, 'log.txt');
    writeFileSync(file, Buffer.alloc(5 << 20, 0x61));
    const tail = new Tail(file);
    for (let more = true; more;) ({ more } = await tail.read());
    assert.ok(tail.unfinished.length <= 1 << 17);
    appendFileSync(file, '\nend\n');
    const { lines } = await tail.read();
    assert.equal(lines.at(-1), 'end');
    assert.ok(lines.every((line) => line.length <= 1 << 16));
  });
});
