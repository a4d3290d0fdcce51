/** `rankscope train`: its arguments, what it prints, and the built program: interrupted, resumed, listed. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { UsageError } from '../../src/cli/flags';
import { parseTrain } from '../../src/cli/trainArguments';
import { renderRuns } from '../../src/cli/trainTable';
import { renderTrainingFigure } from '../../src/engine/figures/training';
import { textWidth } from '../../src/engine/report/display';
import type { TrainedRun, TrainingDocument } from '../../src/engine/trainingDocument';
import { temporaryFolder } from '../fixtures/handmade';

const CLI = path.join(__dirname, '../../cli.js');

describe('arguments', () => {
  test('a recipe is enough', () => {
    assert.deepEqual(parseTrain(['a.rankscope.json']), {
      input: 'a.rankscope.json',
      action: 'start',
      compare: false,
      detach: false,
    });
  });

  test('every flag', () => {
    const flags =
      'a --compare --sweep form=dense,sine --sweep rank=1,2 --sweep learning-rate=1e-3 --launcher slurm --jobs 3 --detach --python p --backend wasm --json - --figure f.svg';
    assert.deepEqual(parseTrain(flags.split(' ')), {
      input: 'a',
      action: 'start',
      compare: true,
      detach: true,
      sweep: { form: ['dense', 'sine'], rank: [1, 2], learningRate: [0.001] },
      launcher: 'slurm',
      jobs: 3,
      python: 'p',
      backend: 'wasm',
      json: '-',
      figure: 'f.svg',
    });
    for (const action of ['list', 'follow', 'stop', 'resume'])
      assert.deepEqual(parseTrain(['a', `--${action}`]), {
        input: 'a',
        action,
        compare: false,
        detach: false,
      });
  });

  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /^no recipe given: try rankscope train --help$/],
    [['a', 'b'], /^one recipe at a time/],
    [['a', '--stop', '--resume'], /^--stop and --resume at once: leave one out$/],
    [['a', '--list', '--compare'], /^--list is for runs that are there: leave --compare and --sweep out$/],
    [['a', '--sweep', 'rnk=1'], /^--sweep "rnk=1" names no axis \(did you mean rank\?\): choose form, rank/],
    [['a', '--sweep', 'rank'], /^--sweep rank: name values, as rank=1,2,5$/],
    [['a', '--sweep', 'rank=1,,2'], /^--sweep rank=1,,2: name values/],
    [['a', '--sweep', 'omega=x'], /^--sweep omega=x: "x" is no number$/],
    [['a', '--figure', 'a.png'], /^--figure a\.png: an SVG is drawn, so its name must end in \.svg$/],
    [['a', '--jobs', '0'], /^--jobs "0" is not a whole number from 1 to 1024$/],
    [['a', '--launcher', 'sbatch'], /^--launcher "sbatch" is not known/],
    [['a', '--backend', 'cuda'], /^--backend "cuda" is not known/],
  ];
  for (const [argv, message] of refused)
    test(`refuses ${argv.join(' ')}`, () => {
      assert.throws(
        () => parseTrain(argv),
        (error: unknown) => error instanceof UsageError && message.test(error.message),
      );
    });
});

const run = (form: 'low-rank' | 'sine', seed: number, value: number): TrainedRun => ({
  id: `${form}-${seed}`,
  folder: `/r/${form}-${seed}`,
  label: `${form}, k = 1, seed ${seed}`,
  choices: { form, seed },
  form,
  rank: 1,
  seed,
  launcher: 'here',
  state: 'done',
  step: 20,
  steps: 20,
  seconds: 61,
  metric: 'iou',
  higherIsBetter: true,
  value,
  best: { value, step: 20 },
  loss: 0.1234,
  parameters: { trained: 100, total: 120, dense: 1200 },
  compressionRate: 0.1,
  evaluations: [
    { step: 0, value: 10 },
    { step: 20, value },
  ],
});

const document: TrainingDocument = {
  schema: 'rankscope/training@1',
  tool: { name: 'rankscope', version: '0' },
  recipe: '/r/field.rankscope.json',
  startedAt: '2024-01-01T00:00:00Z',
  seconds: 200,
  runs: [
    run('low-rank', 0, 80),
    run('sine', 0, 90),
    { ...run('sine', 1, 92), state: 'failed', message: 'no space left' },
  ],
  comparison: [
    { label: 'low-rank, k = 1', form: 'low-rank', rank: 1, runs: ['a'], mean: 80, compressionRate: 0.1 },
    {
      label: 'sine, k = 1',
      form: 'sine',
      rank: 1,
      runs: ['b', 'c'],
      mean: 91,
      deviation: 1.414,
      compressionRate: 0.1,
    },
  ],
};

test('what is printed fits a narrow terminal, and says what went wrong', () => {
  const narrow = renderRuns(document, { width: 60, color: false, unicode: true });
  const lines = narrow.split('\n');
  assert.match(lines[0] ?? '', /^RUN +STATE +.*IOU/);
  for (const line of lines.slice(0, 10)) assert.ok(textWidth(line) <= 60 || line.startsWith('  /'), line);
  assert.match(narrow, /seed 1 failed: no space left/);
  const piped = renderRuns(document, { color: false, unicode: false });
  assert.match(piped, /sine, k = 1 {6}#+\.* {2}91\.00 % \+- 1\.41 {2}10 % of the parameters/);
  assert.match(piped, /Written\n {2}\/r\/low-rank-0\n/);
});

test('the figure draws every run that was evaluated', () => {
  const svg = renderTrainingFigure(document);
  assert.equal(svg.match(/class="curve"/g)?.length, 6);
  assert.match(svg, /IoU, %/);
  assert.match(svg, /3 runs of field\.rankscope\.json/);
});

describe('the program', () => {
  const { folder } = temporaryFolder();
  const recipe = path.join(folder, 'field.rankscope.json');
  const write = (steps: number): void => {
    writeFileSync(
      recipe,
      JSON.stringify({
        schema: 'rankscope/recipe@1',
        network: { kind: 'coordinates', width: 12, forms: [{ kind: 'sine', rank: 1 }] },
        data: { kind: 'occupancy', solid: 'torus', resolution: 8 },
        training: { steps, batchSize: 32, evaluate: { everySteps: steps, utilization: false } },
      }),
    );
  };
  const rankscope = (...argv: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'train', recipe, ...argv], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 100_000,
    });
    return { status, stdout, stderr };
  };

  test('compares, writes the document and the figure', () => {
    write(10);
    const { status, stdout } = rankscope(
      '--compare',
      '--backend',
      'wasm',
      '--json',
      '-',
      '--figure',
      'f.svg',
    );
    const written = JSON.parse(stdout) as TrainingDocument;
    assert.equal(status, 0);
    assert.deepEqual(
      written.runs.map(({ form, state }) => [form, state]),
      [
        ['dense', 'done'],
        ['low-rank', 'done'],
        ['sine', 'done'],
      ],
    );
    assert.match(readFileSync(path.join(folder, 'f.svg'), 'utf8'), /<svg/);
    assert.match(rankscope('--list').stdout, /sine-low-rank, k = 1, seed 0 +done/);
    const nothing = rankscope('--resume');
    assert.equal(nothing.status, 2);
    assert.match(nothing.stderr, /has no run that can go on/);
  });

  test('interrupted, leaves its runs to stop with a checkpoint, and goes on with them', async () => {
    write(100_000);
    const child = spawn(process.execPath, [CLI, 'train', recipe, '--backend', 'wasm'], { cwd: folder });
    let said = '';
    child.stderr.on('data', (text: Buffer) => (said += text.toString()));
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
    const begun = () => rankscope('--list').stdout.includes('running');
    for (let i = 0; i < 100 && !begun(); i++) await sleep(200);
    await sleep(500);
    child.kill('SIGINT');
    assert.equal(await ended, 130);
    assert.match(said, /asked to keep a checkpoint and stop: .* --resume goes on with them/);
    const stopped = () => rankscope('--list').stdout.includes('stopped');
    for (let i = 0; i < 50 && !stopped(); i++) await sleep(200);
    assert.ok(stopped());
    const again = rankscope('--resume', '--detach');
    assert.equal(again.status, 0, again.stderr);
    assert.equal(rankscope('--stop').status, 0);
    assert.ok(stopped());
  });

  test('a recipe without training, or none, is told in one line', () => {
    const plain = path.join(folder, 'plain.rankscope.json');
    writeFileSync(plain, JSON.stringify({ schema: 'rankscope/recipe@1', network: { kind: 'nerf' } }));
    for (const file of [plain, path.join(folder, 'none.rankscope.json')]) {
      const { status, stderr } = spawnSync(process.execPath, [CLI, 'train', file], { encoding: 'utf8' });
      assert.equal(status, 1);
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
    }
    assert.ok(!existsSync(path.join(folder, 'plain.runs')));
  });
});
