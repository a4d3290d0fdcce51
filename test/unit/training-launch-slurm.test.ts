/**
 * What Slurm's programs say was captured from Slurm 22.05.8 and 24.11.5 in the same situations (`test/fixtures/slurm`): a
 * failed, two running and a waiting task of an array, jobs that were killed, held, completed, cancelled a moment ago, one
 * whose output could not be opened (22.05), and an array that waits for its hour. Of each job, the fields that say where it
 * is were kept. `test/slow/slurm.test.ts` asks a real one.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { runCommand } from '../../src/training/launchers/command';
import { launcherFor } from '../../src/training/launchers/index';
import type { PlaceStatus } from '../../src/training/launchers/launcher';
import { posixWord, windowsWord } from '../../src/training/launchers/quote';
import {
  includesTask,
  parseScontrol,
  parseSqueueJson,
  parseSqueueLines,
  type SlurmJobs,
} from '../../src/training/launchers/slurmJobs';
import { environment, SlurmQuestions } from '../../src/training/launchers/slurmQuestions';
import {
  sbatchCommand,
  slurmFiles,
  slurmScript,
  type SlurmRecipe,
} from '../../src/training/launchers/slurmScript';
import { placeOf } from '../../src/training/launchers/slurmState';
import { readRun, writeLaunch } from '../../src/training/run/runFolder';
import { ROOT } from '../reference/references';
import { logOf, NEVER, scriptRun, temporaryFolder } from './scriptRuns';

const ON_WINDOWS = process.platform === 'win32' ? 'Slurm has no Windows' : false;

const IDS = ['1_0', '1_1', '1_2', '1_3', '2', '3', '4', '5', '6_4', '6_5', '7', '9999'];

function fixture(name: string): string {
  return readFileSync(path.join(ROOT, 'test/fixtures/slurm', name), 'utf8');
}

function places(jobs: SlurmJobs | undefined): readonly string[] {
  return IDS.map((id) => {
    const job = jobs?.find(id);
    return job === undefined ? '-' : textOf(placeOf(job));
  });
}

function textOf({ kind, detail }: PlaceStatus): string {
  return `${kind}: ${detail ?? ''}`;
}

describe('what Slurm says', () => {
  const common = [
    'gone: FAILED, exit code 3',
    'alive: RUNNING on n1',
    'alive: RUNNING on n1',
    'waiting: PENDING (JobArrayTaskLimit)',
    'gone: FAILED, signal 9',
    'waiting: PENDING (JobHeldUser)',
  ];
  const rest = ['gone: COMPLETED', 'waiting: PENDING (BeginTime)', '-', 'alive: COMPLETING on n2', '-'];
  const unshared = 'gone: FAILED: the node cannot write into the folder of the runs: all nodes must share it';
  const OF_JOB_4 = { '22.05': unshared, '24.11': 'alive: RUNNING on n2' };

  for (const version of ['22.05', '24.11'] as const) {
    it(`is understood as JSON of ${version}`, () => {
      const read = parseSqueueJson(fixture(`squeue-${version}.json`));
      assert.equal(read?.errors, undefined);
      assert.deepEqual(places(read?.jobs), [...common, OF_JOB_4[version], ...rest]);
    });

    it(`is understood as what scontrol of ${version} shows`, () => {
      const jobs = parseScontrol(fixture(`scontrol-${version}.txt`));
      assert.deepEqual(places(jobs), [...common, OF_JOB_4[version], ...rest]);
    });

    it(`is understood as the table of ${version}, without exit codes`, () => {
      const seen = places(parseSqueueLines(fixture(`squeue-${version}.txt`)));
      const known = [...common, OF_JOB_4[version], ...rest];
      assert.deepEqual(
        seen.map((text) => text.replace(/FAILED .*/, 'FAILED')),
        known.map((text) => text.replace(/FAILED[,:].*/, 'FAILED')),
      );
      assert.equal(seen[0], 'gone: FAILED (NonZeroExitCode)');
    });
  }

  it('is an error when the controller cannot be reached', () => {
    const read = parseSqueueJson(fixture('squeue-22.05-no-controller.json'));
    assert.equal(read?.errors, 'Failed while looking for jobs');
    assert.equal(read.jobs.size, 0);
  });

  it('is told in the words of its states', () => {
    const say = (...states: string[]): string => textOf(placeOf({ id: '1', states, nodes: 'n1' }));
    assert.equal(say('NODE_FAIL'), 'gone: NODE_FAIL on n1');
    assert.equal(say('TIMEOUT'), 'gone: TIMEOUT');
    assert.equal(say('OUT_OF_MEMORY'), 'gone: OUT_OF_MEMORY');
    assert.equal(say('PREEMPTED'), 'gone: PREEMPTED');
    assert.equal(say('CANCELLED', 'COMPLETING'), 'alive: COMPLETING on n1');
    assert.equal(say('PENDING', 'REQUEUED'), 'waiting: PENDING');
    assert.equal(say('REQUEUED', 'COMPLETING'), 'alive: COMPLETING on n1');
    assert.equal(say('RUNNING', 'CONFIGURING'), 'waiting: CONFIGURING');
    assert.equal(say('SUSPENDED'), 'alive: SUSPENDED on n1');
    assert.equal(say('A_NEW\nONE'), 'unknown: A_NEW\\u000aONE');
    assert.equal(say(), 'unknown: Slurm names no state');
    assert.equal(
      textOf(placeOf({ id: '1', states: ['RUNNING'], nodes: 'n2', restarts: 2 })),
      'alive: RUNNING on n2, restarted 2 times',
    );
  });

  it('names waiting tasks by ranges', () => {
    const names = (list: string): readonly number[] =>
      Array.from({ length: 30 }, (_, i) => i).filter((task) => includesTask(list, task));
    assert.deepEqual(names('1-3,7%2'), [1, 2, 3, 7]);
    assert.deepEqual(names('0-12:4'), [0, 4, 8, 12]);
    assert.deepEqual(names('5'), [5]);
    assert.deepEqual(names(''), []);
    assert.deepEqual(names('x,3-,-4,5-2,9-9:0'), [9]);
    // Cut short by squeue: it may be any of them.
    assert.equal(names('1,3,5,...').length, 30);
  });

  it('may be anything, and is then passed over', () => {
    for (const text of ['', 'null', '[]', '{}', '{"jobs": 3}', '<html>', '{"jobs": [']) {
      assert.equal(parseSqueueJson(text), undefined, text);
      assert.equal(parseSqueueLines(text).size, 0, text);
      assert.equal(parseScontrol(text).size, 0, text);
    }
    const odd = [
      null,
      3,
      {},
      { job_id: 'x' },
      { job_id: 7 },
      { job_id: { set: false, number: 3 }, job_state: 'RUNNING' },
    ];
    const read = parseSqueueJson(JSON.stringify({ jobs: odd, errors: [3] }));
    assert.equal(read?.jobs.size, 1);
    assert.equal(read.errors, 'Slurm reports an error');
    assert.deepEqual(read.jobs.find('7'), { id: '7', states: [] });
    const object = {
      job_id: 8,
      job_state: [1, 'FAILED'],
      exit_code: { return_code: { set: true, number: 2 } },
    };
    const job = parseSqueueJson(JSON.stringify({ jobs: [object] }))?.jobs.find('8');
    assert.equal(job && textOf(placeOf(job)), 'gone: FAILED, exit code 2');
  });
});

describe('asking Slurm', { skip: ON_WINDOWS }, () => {
  /** A cluster whose squeue and scontrol are these shell scripts. */
  function withPrograms(t: TestContext, programs: Readonly<Record<string, string>>): string {
    const folder = temporaryFolder(t);
    for (const [name, body] of Object.entries(programs)) {
      const file = path.join(folder, name);
      writeFileSync(file, `#!/bin/sh\necho "$0 $*" >>'${folder}/calls'\n${body}\n`);
      chmodSync(file, 0o755);
    }
    const { PATH: before } = process.env;
    process.env.PATH = `${folder}:/usr/bin:/bin`;
    t.after(() => {
      process.env.PATH = before;
    });
    return folder;
  }
  const printing = (name: string): string => `cat '${path.join(ROOT, 'test/fixtures/slurm', name)}'`;

  it('takes one question for all jobs', async (t) => {
    const folder = withPrograms(t, { squeue: printing('squeue-22.05.json') });
    const jobs = await new SlurmQuestions().jobs(IDS, NEVER);
    assert.deepEqual(
      jobs.map((job) => job?.id ?? '-'),
      IDS.map((id) => (['6_5', '9999'].includes(id) ? '-' : id)),
    );
    const calls = readFileSync(path.join(folder, 'calls'), 'utf8').trim().split('\n');
    assert.equal(calls.length, 1);
    assert.match(calls[0] ?? '', /squeue --json --states=all --jobs=1,2,3,4,5,6,7,9999$/);
  });

  it('goes without JSON where squeue has none, and learns it', async (t) => {
    const folder = withPrograms(t, {
      squeue: `case "$*" in *--json*) echo "squeue: unrecognized option '--json'" >&2; exit 1;; esac
        ${printing('squeue-22.05.txt')}`,
      scontrol: printing('scontrol-22.05.txt'),
    });
    const questions = new SlurmQuestions();
    for (let i = 0; i < 2; i++) {
      const [failed] = await questions.jobs(['1_0', '1_1'], NEVER);
      assert.equal(failed && textOf(placeOf(failed)), 'gone: FAILED, exit code 3');
    }
    const calls = readFileSync(path.join(folder, 'calls'), 'utf8');
    assert.equal(calls.match(/--json/g)?.length, 1);
    assert.equal(calls.match(/scontrol show job 1$/gm)?.length, 2);
  });

  it('prefers the table where JSON tells of a whole cluster', async (t) => {
    const folder = withPrograms(t, {
      squeue: `case "$*" in *--json*) cat '%J'; exit;; esac\n${printing('squeue-22.05.txt')}`,
    });
    const jobs = Array.from({ length: 4000 }, (_, i) => ({
      job_id: i + 1,
      job_state: 'RUNNING',
      pad: 'x'.repeat(300),
    }));
    writeFileSync(path.join(folder, 'all.json'), JSON.stringify({ jobs, errors: [] }));
    const squeue = path.join(folder, 'squeue');
    writeFileSync(squeue, readFileSync(squeue, 'utf8').replace('%J', path.join(folder, 'all.json')));
    const questions = new SlurmQuestions();
    for (let i = 0; i < 3; i++) await questions.jobs(['3'], NEVER);
    assert.equal(readFileSync(path.join(folder, 'calls'), 'utf8').match(/--json/g)?.length, 1);
  });

  it('says why it cannot be told', async (t) => {
    const contact = 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)';
    withPrograms(t, { squeue: `echo '${contact}' >&2; exit 1` });
    await assert.rejects(new SlurmQuestions().jobs(['1'], NEVER), {
      message: 'Unable to contact slurm controller (connect failure)',
    });
    withPrograms(t, { squeue: printing('squeue-22.05-no-controller.json') });
    await assert.rejects(
      new SlurmQuestions().jobs(['1'], NEVER),
      /Slurm cannot tell: Failed while looking for jobs/,
    );
    withPrograms(t, { squeue: "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1" });
    assert.deepEqual(await new SlurmQuestions().jobs(['1'], NEVER), [undefined], 'forgotten');
    withPrograms(t, { squeue: 'echo garbage' });
    await assert.rejects(new SlurmQuestions().jobs(['1'], NEVER), /squeue says something else: garbage/);
    // A flood is cut off, then the table is asked, which is one too.
    withPrograms(t, { squeue: 'yes' });
    await assert.rejects(new SlurmQuestions().jobs(['1'], NEVER), /squeue answers more than can be read/);
  });

  it('gives up on what hangs, and hears the abort', async (t) => {
    withPrograms(t, { squeue: 'exec sleep 60' });
    const before = performance.now();
    await assert.rejects(runCommand(['squeue'], { milliseconds: 300 }), /squeue did not answer within 0 s/);
    const stop = new AbortController();
    const asked = new SlurmQuestions().jobs(['1'], stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(asked, /enough/);
    assert.ok(performance.now() - before < 5000);
    await assert.rejects(runCommand(['/no/such/squeue'], { milliseconds: 300 }), /was not found/);
  });

  it('speaks for the runs: unknown with its reason, gone when forgotten, waiting while it is submitted', async (t) => {
    withPrograms(t, { squeue: printing('squeue-24.11.json') });
    const folder = temporaryFolder(t);
    const recipe: SlurmRecipe = { kind: 'slurm' };
    const run = (name: string, more: object): ReturnType<typeof readRun> => {
      const { folder: at } = scriptRun(folder, { script: { file: 'x.py' }, name, launcher: recipe });
      const launch = {
        launcher: 'slurm',
        command: [],
        attempt: 1,
        startedAt: new Date().toISOString(),
        host: 'x',
      };
      writeLaunch(at, { ...launch, ...more } as Parameters<typeof writeLaunch>[1]);
      return readRun(at);
    };
    const runs = [
      run('a', { jobId: '1_1' }),
      run('b', { jobId: '1_9' }),
      run('c', { launchId: 'x' }),
      run('d', { launchId: 'x', startedAt: new Date(0).toISOString() }),
      run('e', { jobId: '1; rm -rf /' }),
      // Resumed by hand, here.
      run('f', { launcher: 'here', pid: process.pid, host: 'elsewhere' }),
    ];
    const launcher = launcherFor(recipe, { command: ['node'], env: {} });
    assert.deepEqual((await launcher.status(runs, NEVER)).map(textOf), [
      'alive: RUNNING on n1',
      'gone: ',
      'waiting: is being submitted',
      'gone: ',
      'gone: ',
      'unknown: it runs on elsewhere, which cannot be asked from here',
    ]);
    withPrograms(t, { squeue: 'echo "slurm_load_jobs error: Unable to contact" >&2; exit 1' });
    const [unknown] = await launcher.status(runs, NEVER);
    assert.deepEqual(unknown, { kind: 'unknown', detail: 'Unable to contact' });
    withPrograms(t, {});
    process.env.PATH = '/nowhere';
    const [missing] = await launcher.status(runs, NEVER);
    assert.match(
      missing?.detail ?? '',
      /^Slurm is not installed here \(squeue was not found\): open the editor on a login node/,
    );
    await assert.rejects(
      launcher.start(runs, NEVER),
      /^Error: Slurm is not installed here \(sbatch was not found\)/,
    );
    assert.equal(readRun(runs[0]?.folder ?? '').launch?.attempt, 1, 'as it was');
  });

  it('says what sbatch refuses, and leaves the runs as they were', async (t) => {
    const folder = temporaryFolder(t);
    const run = scriptRun(folder, { script: { file: 'x.py' }, launcher: { kind: 'slurm' } });
    const launcher = launcherFor({ kind: 'slurm' }, { command: ['node'], env: {} });
    withPrograms(t, {
      sbatch: `echo 'sbatch: error: Memory specification can not be satisfied' >&2
        echo 'sbatch: error: Batch job submission failed' >&2; exit 1`,
    });
    await assert.rejects(launcher.start([run], NEVER), {
      message: 'Slurm refuses: Memory specification can not be satisfied',
    });
    assert.equal(readRun(run.folder).launch, undefined);
    withPrograms(t, { sbatch: 'echo Welcome' });
    await assert.rejects(launcher.start([run], NEVER), /sbatch names no job: Welcome/);
    withPrograms(t, { sbatch: 'echo Welcome; echo "42;cluster"' });
    await launcher.start([run], NEVER);
    assert.equal(readRun(run.folder).launch?.jobId, '42');
  });

  it('keeps from Slurm what belongs to another job, and how the user likes tables', (t) => {
    const variables = {
      SQUEUE_FORMAT: 'x',
      SLURM_JOB_ID: '3',
      SLURM_CPUS_PER_TASK: '9',
      SLURM_CONF: '/a/slurm.conf',
    };
    Object.assign(process.env, variables);
    t.after(() => {
      for (const name of Object.keys(variables)) Reflect.deleteProperty(process.env, name);
    });
    const env = environment();
    assert.deepEqual(
      Object.keys(variables).map((name) => env[name]),
      [undefined, undefined, undefined, '/a/slurm.conf'],
    );
  });
});

describe('what is submitted', { skip: ON_WINDOWS }, () => {
  const NAMES = ['plain', "a b'c$(touch x)", '--help', 'percent %j `x` "q" \\', 'END OF THE LIST'];

  it('are the options of the recipe, its own last', (t) => {
    const folder = temporaryFolder(t);
    const runs = NAMES.map((name) => scriptRun(folder, { script: { file: 'x' }, name, group: 'g/../$(x)' }));
    const recipe: SlurmRecipe = {
      kind: 'slurm',
      partition: 'gpu',
      time: '1:00:00',
      cpus: 4,
      memory: '8G',
      gpus: 'a100:2',
      jobs: 2,
      options: ['--account=me'],
    };
    const files = slurmFiles(runs);
    assert.equal(files.script, path.join(folder, 'test.runs', 'g_.._x_.slurm.sh'));
    const command = sbatchCommand(recipe, runs, files);
    assert.deepEqual(command, [
      'sbatch',
      '--parsable',
      '--job-name=test',
      '--array=0-4%2',
      '--nodes=1',
      '--ntasks=1',
      '--partition=gpu',
      '--time=1:00:00',
      '--cpus-per-task=4',
      '--mem=8G',
      '--gres=gpu:a100:2',
      '--signal=B:TERM@60',
      '--requeue',
      '--open-mode=append',
      `--output=${files.output}`,
      '--account=me',
      files.script,
    ]);
    const one = sbatchCommand({ kind: 'slurm' }, runs.slice(0, 1), files);
    assert.ok(!one.some((option) => option.startsWith('--array')));
    const notice = (time: string): string | undefined =>
      sbatchCommand({ kind: 'slurm', time }, runs, files)
        .find((option) => option.startsWith('--signal'))
        ?.slice('--signal=B:TERM@'.length);
    assert.deepEqual(['1', '2:00', '1-0', '0:20', 'infinite', '10'].map(notice), [
      '15',
      '30',
      '60',
      '5',
      '60',
      '60',
    ]);
    const shown = launcherFor(recipe, { command: ['node'], env: {} }).preview(runs);
    assert.equal(shown, command.map(posixWord).join(' '));
  });

  it('is a script that turns into the runner of its folder, whatever that is called', (t) => {
    const folder = temporaryFolder(t);
    const runs = NAMES.map((name) => scriptRun(folder, { script: { file: 'x' }, name }));
    const program = { command: ['node', "/it's here/trainer.js"], env: { A: "b'$(c)" } };
    const recipe: SlurmRecipe = {
      kind: 'slurm',
      node: 'printf',
      setup: ['export SETUP="set up"', 'echo said'],
    };
    const script = path.join(folder, 'job.sh');
    writeFileSync(
      script,
      // The runner's first argument is printf's format.
      slurmScript(recipe, runs, { ...program, command: ['node', '%s|${A}|%s\\n'] }, 'the-launch'),
    );
    for (const [i, { folder: at }] of runs.entries()) {
      const env = { PATH: process.env.PATH, SLURM_ARRAY_TASK_ID: String(i) };
      const { status, stdout, stderr } = spawnSync('/bin/bash', [script], {
        env,
        encoding: 'utf8',
        cwd: folder,
      });
      assert.deepEqual([status, stdout, stderr], [0, '', ''], at);
      assert.equal(logOf(at), `said\n${at}|\${A}|\n`);
    }
    const text = readFileSync(script, 'utf8');
    assert.match(text, /^export A='b'\\''\$\(c\)'$/m);
    assert.match(text, /^export RANKSCOPE_LAUNCH=the-launch$/m);
    assert.match(
      slurmScript({ kind: 'slurm' }, runs, program, 'x'),
      /^exec node '\/it'\\''s here\/trainer\.js' "\$folder"$/m,
    );
  });

  it('says what is wrong when the node does not see the folder', (t) => {
    const folder = temporaryFolder(t);
    const run = scriptRun(folder, { script: { file: 'x' } });
    const script = slurmScript(
      { kind: 'slurm' },
      [{ ...run, folder: '/not/shared' }],
      { command: ['node'], env: {} },
      'x',
    );
    const { status, stderr } = spawnSync('/bin/bash', ['-c', script], { encoding: 'utf8' });
    assert.equal(status, 1);
    assert.match(stderr, /does not see \/not\/shared: runs on Slurm need a folder that all nodes share/);
    const lines = { ...run, folder: '/a\nb' };
    assert.throws(
      () => slurmScript({ kind: 'slurm' }, [lines], { command: ['node'], env: {} }, 'x'),
      /line break in its name/,
    );
  });
});

describe('words of command lines', () => {
  it('are quoted where they need it', () => {
    assert.deepEqual(['a-b/c.d=e', '', "it's", '$(x)'].map(posixWord), [
      'a-b/c.d=e',
      "''",
      `'it'\\''s'`,
      "'$(x)'",
    ]);
    assert.deepEqual(['C:\\a\\b', 'C:\\a b\\', 'say "x"', ''].map(windowsWord), [
      'C:\\a\\b',
      '"C:\\a b\\\\"',
      '"say \\"x\\""',
      '""',
    ]);
  });
});
