/** Training on a real Slurm of two virtual nodes: `scripts/slurm.mjs`. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { installSlurm, slurmInstalled, startSlurm, type StartedSlurm } from '../../scripts/slurm.mjs';
import {
  launcherOf,
  resumeTraining,
  runsOf,
  startTraining,
  stopTraining,
  type TrainWith,
} from '../../src/engine/train';
import type { LauncherRecipe, SweepRecipe } from '../../src/training/recipe';
import type { RunSummary } from '../../src/training/run/run';
import { readEvents, readRun, runPaths } from '../../src/training/run/runFolder';
import { SlurmQuestions } from '../../src/training/launchers/slurmQuestions';
import { placeOf } from '../../src/training/launchers/slurmState';
import { DEAF, logOf, NEVER, PYTHON, pythonFile, until } from '../unit/scriptRuns';

const isRequired = process.env.RANKSCOPE_REQUIRE_SLURM === '1';
const WITHOUT_SLURM =
  isRequired || (slurmInstalled() && process.getuid?.() === 0)
    ? false
    : 'a real Slurm takes root and Debian: "node scripts/slurm.mjs" installs it';

/** Slurm looks at its jobs every few seconds, at its nodes more seldom. */
const PATIENCE = 120_000;
const USING: TrainWith = { trusted: true, python: PYTHON, backend: 'wasm', settings: {} };

/** Counts its steps, slowly, and goes on from where it was saved. The rank decides what becomes of it. */
const SCRIPT = [
  'import os, time',
  'from rankscope_log import log, should_stop',
  "rank = int(os.environ['RANKSCOPE_CHOICE_RANK'])",
  "saved = os.path.join(os.environ['RANKSCOPE_CHECKPOINT'], 'step')",
  'step = int(open(saved).read()) if os.path.exists(saved) else 0',
  "gate = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'gate')",
  'while not should_stop():',
  '    step += 1',
  '    log(step=step, loss=1 / step)',
  '    time.sleep(0.1)',
  '    if os.path.exists(gate) and rank == 1:',
  '        log(step=step, val_accuracy=0.75)',
  '        break',
  '    if os.path.exists(gate) and rank == 2:',
  "        raise ValueError('rank 2 is made to fail')",
  "open(saved, 'w').write(str(step))",
];

/** All that follows a safetensors file's header, which names the run. */
function weightsOf({ folder }: RunSummary): Buffer {
  const file = readFileSync(runPaths(folder).model);
  const weights = file.subarray(8 + Number(file.readBigUInt64LE(0)));
  assert.ok(weights.length > 1000);
  return weights;
}

describe('training on Slurm', { skip: WITHOUT_SLURM }, () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-slurm-'));
  const home = path.join(folder, "runs o'f $(me)");
  let cluster: StartedSlurm | undefined;

  before(async () => {
    if (isRequired) await installSlurm();
    mkdirSync(home);
    cluster = await startSlurm(path.join(folder, 'slurm'));
    Object.assign(process.env, cluster.env);
  });

  after(async () => {
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  function recipe(name: string, content: object): string {
    const file = path.join(home, `${name}.rankscope.json`);
    writeFileSync(file, JSON.stringify({ schema: 'rankscope/recipe@1', ...content }));
    return file;
  }

  function scriptRecipe(name: string, lines: readonly string[]): string {
    const file = pythonFile(home, lines, `${name}.py`);
    return recipe(name, { training: { script: { file: path.basename(file) } } });
  }

  async function start(
    file: string,
    launcher: LauncherRecipe,
    sweep?: SweepRecipe,
  ): Promise<readonly RunSummary[]> {
    const { runs } = await startTraining({ ...USING, path: file, launcher, sweep }, NEVER);
    return runs;
  }

  /** Runs of a recipe by the rank that was chosen, or by the order in which they were made. */
  async function runsByRank(file: string): Promise<ReadonlyMap<number, RunSummary>> {
    const runs = await runsOf(file, USING, NEVER);
    return new Map(runs.map((run) => [Number(run.record.choices.rank), run]));
  }

  async function only(file: string): Promise<RunSummary> {
    const [run] = await runsOf(file, USING, NEVER);
    assert.ok(run !== undefined);
    return run;
  }

  async function detailOf(run: RunSummary): Promise<string> {
    const own = launcherOf(USING)({ kind: 'slurm' });
    const [status] = await own.status([readRun(run.folder)], NEVER);
    return `${status?.kind ?? ''}: ${status?.detail ?? ''}`;
  }

  /** As its table has it, where JSON is not to be had. */
  async function tableOf(run: RunSummary): Promise<string> {
    const { SLURM_CONF: config = '', PATH: programs = '' } = process.env;
    const wrapped = mkdtempSync(path.join(folder, 'without-json-'));
    const refusal = `case "$*" in *--json*) echo "squeue: unrecognized option '--json'" >&2; exit 1;; esac`;
    const squeue = path.join(wrapped, 'squeue');
    writeFileSync(
      squeue,
      `#!/bin/sh\n${refusal}\nSLURM_CONF='${config}' PATH='${programs}' exec squeue "$@"\n`,
    );
    chmodSync(squeue, 0o755);
    process.env.PATH = `${wrapped}:${programs}`;
    try {
      const [job] = await new SlurmQuestions().jobs([run.launch?.jobId ?? ''], NEVER);
      const { kind, detail = '' } = job === undefined ? { kind: 'gone' } : placeOf(job);
      return `${kind}: ${detail}`;
    } finally {
      process.env.PATH = programs;
    }
  }

  const ofRank = (runs: ReadonlyMap<number, RunSummary>, rank: number): RunSummary => {
    const run = runs.get(rank);
    assert.ok(run !== undefined);
    return run;
  };

  let timed: { readonly patient: string; readonly deaf: string } | undefined;

  it('takes runs with a limit on their time, to be looked at last', async () => {
    timed = { patient: scriptRecipe('timed', SCRIPT), deaf: scriptRecipe('deaf', DEAF) };
    const launcher: LauncherRecipe = { kind: 'slurm', time: '1' };
    await start(timed.patient, launcher, { rank: [9] });
    // Told nothing before its time is up.
    await start(timed.deaf, { ...launcher, options: ['--signal=B:CONT@1'] });
  });

  it('runs a sweep of four as an array, and tells the truth of each', async () => {
    const file = scriptRecipe('sweep', SCRIPT);
    const launcher: LauncherRecipe = {
      kind: 'slurm',
      partition: 'main',
      cpus: 1,
      memory: '100M',
      jobs: 3,
      setup: ['echo "set up on $SLURMD_NODENAME, it\'s $HOME"'],
      options: ['--comment=a b'],
    };
    const begun = await start(file, launcher, { rank: [1, 2, 3, 4] });
    const ids = begun.map(({ launch }) => launch?.jobId ?? '');
    const [array] = (ids[0] ?? '').split('_');
    assert.deepEqual(
      ids,
      [0, 1, 2, 3].map((task) => `${array ?? ''}_${task}`),
    );
    assert.equal(begun[0]?.launch?.command[0], 'sbatch');

    // Three at a time, one waits.
    const running = await until(
      'three running',
      async () => {
        const runs = await runsByRank(file);
        const states = [...runs.values()].map(({ status }) => status.state);
        return states.filter((state) => state === 'running').length === 3 && runs;
      },
      PATIENCE,
    );
    const last = ofRank(running, 4);
    assert.equal(last.status.state, 'queued');
    assert.equal(last.detail, 'PENDING (JobArrayTaskLimit)');
    assert.match(ofRank(running, 1).detail ?? '', /^RUNNING on n[12]$/);
    assert.equal(await tableOf(last), 'waiting: PENDING (JobArrayTaskLimit)');
    await until('reports', () => readEvents(ofRank(running, 3).folder).length > 3, PATIENCE);
    assert.match(logOf(ofRank(running, 3).folder), /^set up on n[12], it's \S+\n/);

    // One ends well, one is made to fail; the fourth gets its turn.
    writeFileSync(path.join(home, 'gate'), '');
    const later = await until(
      'the fourth',
      async () => {
        const runs = await runsByRank(file);
        return ofRank(runs, 4).status.state === 'running' && runs;
      },
      PATIENCE,
    );
    const [done, failed, third] = [ofRank(later, 1), ofRank(later, 2), ofRank(later, 3)];
    assert.deepEqual([done.status.state, done.status.value], ['done', 75]);
    assert.equal(failed.status.state, 'failed');
    assert.match(
      failed.status.message ?? '',
      /^the script ended with code 1: ValueError: rank 2 is made to fail$/,
    );
    assert.equal(third.status.state, 'running');
    await until('Slurm knows', async () => (await detailOf(failed)).startsWith('gone'), PATIENCE);
    assert.equal(await detailOf(failed), 'gone: FAILED, exit code 1');
    assert.equal(await tableOf(failed), 'gone: FAILED, exit code 1');
    assert.equal(await detailOf(done), 'gone: COMPLETED');

    // One is cancelled, and goes on where it was.
    await stopTraining([third.folder], true, USING, NEVER);
    const stopped = await until(
      'the third stopped',
      async () => {
        const run = ofRank(await runsByRank(file), 3);
        return run.status.state === 'stopped' && run;
      },
      PATIENCE,
    );
    const stepBefore = stopped.status.step ?? 0;
    assert.ok(stepBefore > 3);
    await until('Slurm knows', async () => (await detailOf(third)).startsWith('gone'), PATIENCE);
    assert.equal(await detailOf(third), 'gone: CANCELLED');
    assert.equal(ofRank(await runsByRank(file), 4).status.state, 'running', 'the others go on');
    await resumeTraining([third.folder], USING, NEVER);
    const resumed = await until(
      'the third again',
      async () => {
        const run = ofRank(await runsByRank(file), 3);
        return run.status.state === 'running' && (run.status.step ?? 0) > stepBefore + 3 && run;
      },
      PATIENCE,
    );
    assert.equal(resumed.launch?.attempt, 2);
    assert.match(resumed.launch.jobId ?? '', /^\d+$/);
    const steps = readEvents(third.folder).flatMap((event) => (event.kind === 'train' ? [event.step] : []));
    assert.deepEqual(
      steps,
      Array.from(steps, (_, i) => i + 1),
      'no step is missing, none was made twice',
    );
    await stopTraining([third.folder, ofRank(later, 4).folder], false, USING, NEVER);
    await until(
      'all over',
      async () => {
        const runs = await runsByRank(file);
        return [3, 4].every((rank) => ofRank(runs, rank).status.state === 'stopped');
      },
      PATIENCE,
    );
  });

  it('takes a run that waits out of the queue', async () => {
    const file = scriptRecipe('held', SCRIPT);
    await start(file, { kind: 'slurm', options: ['--hold'] }, { rank: [1] });
    const held = await until('it is held', async () => {
      const run = await only(file);
      return run.detail === 'PENDING (JobHeldUser)' && run;
    });
    assert.equal(held.status.state, 'queued');
    await stopTraining([held.folder], false, USING, NEVER);
    assert.equal((await only(file)).status.state, 'stopped');
    assert.match(await detailOf(held), /^gone: /);
  });

  it('says in one line what Slurm refuses, and leaves nothing behind', async () => {
    const file = scriptRecipe('refused', SCRIPT);
    const refused = (launcher: LauncherRecipe, message: RegExp): Promise<void> =>
      assert.rejects(start(file, launcher, { rank: [1] }), message);
    await refused(
      { kind: 'slurm', partition: 'nope' },
      /^Error: Slurm refuses: invalid partition specified: nope$/,
    );
    await refused(
      { kind: 'slurm', memory: '900G' },
      /^Error: Slurm refuses: Memory specification can not be satisfied$/,
    );
    await refused(
      { kind: 'slurm', gpus: '1' },
      /^Error: Slurm refuses: Invalid generic resource \(gres\) specification$/,
    );
    assert.deepEqual(await runsOf(file, USING, NEVER), []);
  });

  it('does not hang with a controller that does', async () => {
    const file = scriptRecipe('hanging', SCRIPT);
    await start(file, { kind: 'slurm', options: ['--hold'] }, { rank: [1] });
    const run = await only(file);
    const pid = Number(readFileSync(path.join(folder, 'slurm', 'slurmctld.pid'), 'utf8'));
    process.kill(pid, 'SIGSTOP');
    try {
      const began = performance.now();
      assert.match(await detailOf(run), /^unknown: squeue did not answer within 10 s$/);
      assert.ok(performance.now() - began < 13_000);
      assert.equal((await only(file)).status.state, 'queued', 'not lost: nobody knows');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until('it answers', async () => (await detailOf(run)).startsWith('waiting'), PATIENCE);
    await stopTraining([run.folder], true, USING, NEVER);
  });

  it('loses a node, and ends with the same numbers on another', async () => {
    const content = {
      network: { kind: 'coordinates', width: 32, forms: [{ kind: 'sine', rank: 2 }] },
      data: { kind: 'occupancy', solid: 'spheres', resolution: 16 },
      training: {
        steps: 1500,
        batchSize: 512,
        optimizer: { kind: 'adam', learningRate: 0.01 },
        evaluate: { everySteps: 300 },
        checkpointMinutes: 0.02,
      },
    };
    const calm = recipe('calm', content);
    await start(calm, { kind: 'here' });
    const expected = await until(
      'the run without a loss',
      async () => {
        const run = await only(calm);
        return run.status.state === 'done' && run;
      },
      5 * PATIENCE,
    );

    const file = recipe('shaken', content);
    await start(file, { kind: 'slurm' });
    const early = await until(
      'a checkpoint',
      async () => {
        const run = await only(file);
        return (run.status.checkpoint?.step ?? 0) > 0 && run;
      },
      PATIENCE,
    );
    const [, node = ''] = /^RUNNING on (n[12])$/.exec(early.detail ?? '') ?? [];
    assert.ok(node !== '', early.detail);
    await cluster?.killNode(node);
    assert.ok((early.status.step ?? 0) < 1500);
    const requeued = await until(
      'Slurm gives up the node',
      async () => {
        const run = await only(file);
        return run.detail?.startsWith('PENDING') === true && run;
      },
      PATIENCE,
    );
    assert.equal(requeued.status.state, 'queued');
    assert.equal(requeued.launch?.attempt, 1);
    // Slurm waits two minutes before it starts it again.
    execFileSync('scontrol', ['update', `JobId=${requeued.launch.jobId ?? ''}`, 'StartTime=now']);
    const restarted = await until(
      'it runs again',
      async () => {
        const run = await only(file);
        return run.status.state === 'running' && run.detail?.startsWith('RUNNING') === true && run;
      },
      PATIENCE,
    );
    assert.match(restarted.detail ?? '', /^RUNNING on n[12], restarted once$/);
    assert.ok(!(restarted.detail ?? '').includes(node));
    const end = await until(
      'the end',
      async () => {
        const run = await only(file);
        return run.status.state === 'done' && run;
      },
      5 * PATIENCE,
    );
    const numbers = ({ status }: RunSummary): unknown => [status.step, status.value, status.best];
    assert.deepEqual(numbers(end), numbers(expected));
    assert.ok(weightsOf(end).equals(weightsOf(expected)), 'the same network, bit for bit');
    cluster?.startNode(node);
  });

  it('ends what its time is up for: with a checkpoint where the script listens, lost where it does not', async () => {
    assert.ok(timed !== undefined);
    const { patient, deaf } = timed;
    const [saved, killed] = await until(
      'both over',
      async () => {
        const runs = [await only(patient), await only(deaf)] as const;
        return runs.every(({ status }) => status.state === 'stopped' || status.state === 'lost') && runs;
      },
      3 * PATIENCE,
    );
    assert.equal(saved.status.state, 'stopped');
    assert.ok(existsSync(path.join(saved.folder, 'checkpoint', 'step')));
    assert.equal(killed.status.state, 'lost');
    assert.equal(killed.detail, 'TIMEOUT');
  });
});
