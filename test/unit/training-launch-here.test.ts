import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { buildSync } from 'esbuild';
import { isAlive } from '../../src/training/launchers/claim';
import { launcherFor } from '../../src/training/launchers/index';
import { processTime } from '../../src/training/launchers/processTimes';
import {
  readEvents,
  readRun,
  requestStop,
  writeLaunch,
  type StoredRun,
} from '../../src/training/run/runFolder';
import type { LaunchRecord } from '../../src/training/run/run';
import { ROOT } from '../reference/references';
import {
  asItIs,
  DEAF,
  endAfter,
  logOf,
  NEVER,
  PATIENT,
  PYTHON,
  pythonFile,
  RUNNER,
  scriptRun,
  stateOf,
  temporaryFolder,
  until,
} from './scriptRuns';

const launcher = launcherFor({ kind: 'here', jobs: 1 }, RUNNER);

async function placeOf(run: StoredRun): Promise<string> {
  const [status] = await launcher.status([asItIs(run)], NEVER);
  return status?.kind ?? '';
}

function patientRun(t: TestContext, names: readonly string[] = ['run']): readonly StoredRun[] {
  const folder = temporaryFolder(t);
  const file = pythonFile(folder, PATIENT);
  const runs = names.map((name) => scriptRun(folder, { script: { file, python: PYTHON }, name }));
  endAfter(t, runs);
  return runs;
}

function first(runs: readonly StoredRun[]): StoredRun {
  const [run] = runs;
  assert.ok(run !== undefined);
  return run;
}

describe('launching here', () => {
  it('starts a run, says that it is alive, and that it is gone once it has stopped', async (t) => {
    const run = first(patientRun(t));
    assert.equal(await placeOf(run), 'gone', 'never started');
    await launcher.start([asItIs(run)], NEVER);
    const { launch } = readRun(run.folder);
    assert.ok(launch?.pid !== undefined && launch.pid > 1);
    assert.equal(launch.attempt, 1);
    assert.equal(launch.host, os.hostname());
    assert.equal(launch.pidStartedAt, await processTime(launch.pid));
    assert.deepEqual(launch.command, [...RUNNER.command, run.folder]);
    await until('reports', () => readEvents(run.folder).length > 2);
    assert.equal(await placeOf(run), 'alive');
    assert.equal(stateOf(run.folder), 'running');
    requestStop(run.folder);
    await until('the end', async () => (await placeOf(run)) === 'gone');
    assert.equal(stateOf(run.folder), 'stopped');
    assert.match(logOf(run.folder), /^\$ .*script\.py$/m);
  });

  it('lets a run outlive the process that started it, and whatever ends with that', async (t) => {
    const run = first(patientRun(t));
    const starter = path.join(temporaryFolder(t), 'starter.js');
    writeFileSync(
      `${starter}.ts`,
      `import { here } from ${JSON.stringify(path.join(ROOT, 'src/training/launchers/here'))};
       import { readRun } from ${JSON.stringify(path.join(ROOT, 'src/training/run/runFolder'))};
       const [folder, program] = process.argv.slice(2);
       here({ kind: 'here' }, JSON.parse(program)).start([readRun(folder)], new AbortController().signal)
         .then(() => console.log('started'));
       setInterval(() => undefined, 1000);`,
    );
    buildSync({ entryPoints: [`${starter}.ts`], outfile: starter, bundle: true, platform: 'node' });
    // In a group of its own, so that all of it can be killed as a terminal would.
    const parent = spawn(process.execPath, [starter, run.folder, JSON.stringify(RUNNER)], {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => parent.stdout.once('data', resolve));
    const ended = new Promise((resolve) => parent.once('exit', resolve));
    process.kill(-(parent.pid ?? 0), 'SIGKILL');
    await ended;
    const before = await until('reports', () => readEvents(run.folder).length || undefined);
    await until('more reports', () => readEvents(run.folder).length > before + 3);
    assert.equal(await placeOf(run), 'alive');
    await launcher.cancel(asItIs(run), NEVER);
    await until('the end', () => stateOf(run.folder) === 'stopped');
  });

  it('takes no other process for the run once its number is used again', async (t) => {
    const run = first(patientRun(t));
    const launch: LaunchRecord = {
      launcher: 'here',
      command: [],
      attempt: 1,
      startedAt: new Date(0).toISOString(),
      host: os.hostname(),
      // This process has the number, and is another.
      pid: process.pid,
      pidStartedAt: 'another time',
      launchId: 'x',
    };
    writeLaunch(run.folder, launch);
    assert.equal(await isAlive(launch), false);
    assert.equal(await placeOf(run), 'gone');
    await launcher.cancel(asItIs(run), NEVER);
    const own = await processTime(process.pid);
    assert.equal(await isAlive({ ...launch, pidStartedAt: own ?? '' }), own !== undefined);
    // The same process, on a machine that is called something else by now.
    assert.equal(await isAlive({ ...launch, pidStartedAt: own ?? '', host: 'elsewhere' }), true);
    assert.equal(await isAlive({ ...launch, host: 'elsewhere' }), undefined);
    writeLaunch(run.folder, { ...launch, host: 'elsewhere' });
    assert.equal(await placeOf(run), 'unknown');
  });

  it('does not take numbers of groups of processes from a file', async (t) => {
    const run = first(patientRun(t));
    for (const pid of [0, -1, 1, 1.5, Number.NaN]) {
      const launch = {
        launcher: 'here' as const,
        command: [],
        attempt: 1,
        startedAt: '',
        host: os.hostname(),
        pid,
      };
      writeLaunch(run.folder, launch);
      assert.equal(await isAlive(launch), false);
      await launcher.cancel(asItIs(run), NEVER);
    }
  });

  it('kills a run that hears no wish to end, with all that it started', async (t) => {
    const folder = temporaryFolder(t);
    const run = scriptRun(folder, { script: { file: pythonFile(folder, DEAF), python: PYTHON } });
    endAfter(t, [run]);
    await launcher.start([asItIs(run)], NEVER);
    const child = await until('a child', () => /^child (\d+)$/m.exec(logOf(run.folder))?.[1]);
    const before = performance.now();
    await launcher.cancel(asItIs(run), NEVER);
    const seconds = (performance.now() - before) / 1000;
    assert.ok(seconds > 4.5 && seconds < 15, `${seconds} s`);
    await until('the end', async () => (await placeOf(run)) === 'gone');
    await until("the child's end", async () => (await processTime(Number(child))) === undefined);
    // It had no time to say how it ended.
    assert.equal(stateOf(run.folder), 'stopping');
  });

  it('runs several one after another, and takes one out of the queue', async (t) => {
    const [one, two, three] = patientRun(t, ['one', "t w'o $(x)", 'three']);
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    const all = [one, two, three];
    await launcher.start(all.map(asItIs), NEVER);
    await until('the first', () => readEvents(one.folder).length > 0);
    const launches = all.map(({ folder }) => readRun(folder).launch);
    const queue = launches[0]?.queuePid;
    assert.ok(queue !== undefined && queue !== launches[0]?.pid);
    assert.deepEqual([launches[1]?.pid, launches[2]?.pid], [queue, queue]);
    const statuses = await launcher.status(all.map(asItIs), NEVER);
    assert.deepEqual(
      statuses.map(({ kind }) => kind),
      ['alive', 'waiting', 'waiting'],
    );
    await launcher.cancel(asItIs(two), NEVER);
    assert.deepEqual([await placeOf(one), await placeOf(two)], ['alive', 'gone']);
    // Resumed in the meantime, in a process of its own: the queue must leave it alone.
    await launcher.start([asItIs(two)], NEVER);
    await until('the second', () => readEvents(two.folder).length > 0);
    const own = readRun(two.folder).launch;
    assert.equal(own?.attempt, 2);
    requestStop(one.folder);
    await until('the third', () => readEvents(three.folder).length > 0);
    assert.equal(stateOf(one.folder), 'stopped');
    assert.equal(readRun(two.folder).launch?.pid, own.pid);
    assert.deepEqual([await placeOf(two), await placeOf(three)], ['alive', 'alive']);
    for (const run of [two, three]) await launcher.cancel(asItIs(run), NEVER);
    await until('the end', () => [two, three].every(({ folder }) => stateOf(folder) === 'stopped'));
    await until("the queue's end", async () => (await processTime(queue)) === undefined);
  });

  it('says that the waiting are gone when what starts them is', async (t) => {
    const [one, two] = patientRun(t, ['one', 'two']);
    assert.ok(one !== undefined && two !== undefined);
    await launcher.start([one, two].map(asItIs), NEVER);
    await until('the first', () => readEvents(one.folder).length > 0);
    process.kill(readRun(two.folder).launch?.queuePid ?? 0, 'SIGKILL');
    await until('the second is gone', async () => (await placeOf(two)) === 'gone');
    assert.equal(await placeOf(one), 'alive');
    await launcher.cancel(asItIs(one), NEVER);
  });

  it('goes on with a run: counts the attempt, and forgets the wish to stop', async (t) => {
    const run = first(patientRun(t));
    await launcher.start([asItIs(run)], NEVER);
    await until('reports', () => readEvents(run.folder).length > 0);
    await launcher.cancel(asItIs(run), NEVER);
    await until('the end', () => stateOf(run.folder) === 'stopped');
    await launcher.start([asItIs(run)], NEVER);
    await until('the second attempt', () => readRun(run.folder).state?.attempt === 2);
    await until('it runs', () => stateOf(run.folder) === 'running');
    await launcher.cancel(asItIs(run), NEVER);
    await until('the end', () => stateOf(run.folder) === 'stopped');
  });

  it('leaves a run as it was when its program cannot be started', async (t) => {
    const run = first(patientRun(t));
    const broken = launcherFor({ kind: 'here' }, { command: ['/no/such/node', 'trainer.js'], env: {} });
    await assert.rejects(
      broken.start([asItIs(run)], NEVER),
      /^Error: \/no\/such\/node does not start: .*ENOENT/,
    );
    assert.equal(readRun(run.folder).launch, undefined);
    await launcher.start([asItIs(run)], NEVER);
    const { launch } = readRun(run.folder);
    await launcher.cancel(asItIs(run), NEVER);
    await assert.rejects(broken.start([asItIs(run)], NEVER));
    assert.equal(readRun(run.folder).launch?.launchId, launch?.launchId);
    const aborted = AbortSignal.abort(new Error('not now'));
    await assert.rejects(launcher.start([asItIs(run)], aborted), /not now/);
  });

  it('is not run twice at a time: not by hand, not by an older launch', async (t) => {
    const run = first(patientRun(t));
    await launcher.start([asItIs(run)], NEVER);
    await until('reports', () => readEvents(run.folder).length > 0);
    const before = readFileSync(path.join(run.folder, 'launch.json'), 'utf8');
    const [node = '', trainer = ''] = RUNNER.command;
    for (const token of [undefined, 'an older one']) {
      const env = { ...process.env, ...(token !== undefined && { RANKSCOPE_LAUNCH: token }) };
      const second = spawn(node, [trainer, run.folder], { env, stdio: 'ignore' });
      const code = await new Promise((resolve) => second.once('exit', resolve));
      assert.equal(code, 0);
      assert.equal(readFileSync(path.join(run.folder, 'launch.json'), 'utf8'), before);
    }
    assert.equal(await placeOf(run), 'alive');
    await launcher.cancel(asItIs(run), NEVER);
    await until('the end', () => stateOf(run.folder) === 'stopped');
    assert.ok(!existsSync(path.join(run.folder, '.launch.lock')));
  });

  it('shows the command as it can be typed', (t) => {
    const folder = temporaryFolder(t);
    const runs = ['a', "b's $(x)"].map((name) => scriptRun(folder, { script: { file: 'x.py' }, name }));
    const shown = launcherFor(
      { kind: 'here', jobs: 3 },
      { command: ['node', 'trainer.js'], env: {} },
    ).preview(runs);
    const parent = path.join(folder, 'test.runs');
    if (process.platform !== 'win32')
      assert.equal(shown, `node trainer.js --jobs 2 ${parent}/a '${parent}/b'\\''s $(x)'`);
  });
});
