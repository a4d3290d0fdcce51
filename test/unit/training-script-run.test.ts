import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { buildSync } from 'esbuild';
import { processTime } from '../../src/training/launchers/processTimes';
import type { ScriptRecipe } from '../../src/training/recipe';
import type { RunEvent, StateRecord } from '../../src/training/run/run';
import { appendEvents, readEvents, requestStop, type StoredRun } from '../../src/training/run/runFolder';
import { runScript, type ScriptEnd } from '../../src/training/script/index';
import { scriptEnvironment, scriptPaths } from '../../src/training/script/environment';
import { ROOT } from '../reference/references';
import { HELPER, NEVER, PATIENT, PYTHON, pythonFile, scriptRun, temporaryFolder, until } from './scriptRuns';

const WITHOUT_TORCH =
  spawnSync(PYTHON, ['-c', 'import torch.distributed.run'], { stdio: 'ignore' }).status === 0
    ? false
    : `${PYTHON} has no torch`;

interface Told {
  readonly end: ScriptEnd;
  readonly events: readonly RunEvent[];
  readonly states: readonly Partial<StateRecord>[];
  readonly log: string;
}

interface Running {
  readonly run: StoredRun;
  readonly events: RunEvent[];
  readonly told: Promise<Told>;
  log(): string;
}

interface Wishes {
  readonly signal?: AbortSignal;
  readonly graceMilliseconds?: number;
}

function begin(run: StoredRun, { signal = NEVER, graceMilliseconds }: Wishes = {}): Running {
  const events: RunEvent[] = [];
  const states: Partial<StateRecord>[] = [];
  let log = '';
  const running = runScript(run, {
    signal,
    helper: HELPER,
    python: PYTHON,
    onEvents: (some) => events.push(...some),
    onState: (state) => states.push(state),
    log: (text) => (log += text),
    ...(graceMilliseconds !== undefined && { graceMilliseconds }),
  });
  const told = running.then((end) => ({ end, events, states, log }));
  return { run, events, told, log: () => log };
}

/**
 * What a script needs to run in two processes, here too: torchrun of torch 1.13 goes through the members of an enumeration
 * for one that Python 3.11 no longer counts among them. Newer ones do without.
 */
function twoProcesses(t: TestContext): Partial<ScriptRecipe> {
  const folder = temporaryFolder(t, 'rankscope-script-');
  const patch = 'enum.EnumMeta.__iter__ = lambda members: iter(members._member_map_.values())';
  pythonFile(folder, ['import enum', patch], 'sitecustomize.py');
  return {
    torchrun: 2,
    environment: { PYTHONPATH: folder, OPENBLAS_CORETYPE: 'SkylakeX', OMP_NUM_THREADS: '1' },
  };
}

/** A run of these lines of Python. */
function pythonRun(t: TestContext, lines: readonly string[], more: Partial<ScriptRecipe> = {}): StoredRun {
  const folder = temporaryFolder(t, 'rankscope-script-');
  return scriptRun(folder, { script: { file: pythonFile(folder, lines), ...more } });
}

describe('running a script', () => {
  it('follows what it prints and what it reports, in its own folder, with its arguments', async (t) => {
    const run = pythonRun(
      t,
      [
        'import json, os, sys',
        'from rankscope_log import log, should_stop',
        "print('in', os.getcwd(), sys.argv[1:])",
        'for step in range(1, 6):',
        '    log(step=step, steps=5, epoch=step / 5, loss=1 / step, lr=0.1, message="half" if step == 3 else None)',
        "log(step=5, val_accuracy=0.5, note_of_mine=3, nothing=None, text='x')",
        'print(json.dumps({"step": 6, "loss": 0.125}))',
        'print(\'{"port": 80}\')',
        "print('to stderr: é', file=sys.stderr)",
        'assert not should_stop()',
      ],
      { arguments: ['--rank', "a b'c$(x)"] },
    );
    const { end, events, states, log } = await begin(run).told;
    assert.deepEqual(end, { state: 'done' });
    const folder = path.dirname(run.record.recipe);
    assert.match(log, /^\$ \S+ \S+script\.py --rank 'a b'\\''c\$\(x\)'\n/);
    assert.ok(log.includes(`in ${folder} ['--rank', "a b'c$(x)"]\n`), log);
    assert.ok(log.includes('to stderr: é\n'));
    const train = events.filter((event) => event.kind === 'train');
    assert.deepEqual(
      train.map(({ step }) => step).sort(),
      [1, 2, 3, 4, 5, 5, 6],
      'both ways are told, in whatever order they are seen',
    );
    const second = train.find(({ step }) => step === 2);
    assert.deepEqual([second?.loss, second?.learningRate, second?.epoch], [0.5, 0.1, 0.4]);
    assert.ok((second?.seconds ?? 0) > 0);
    assert.deepEqual(train.find(({ more }) => more !== undefined)?.more, { note_of_mine: 3 });
    const evaluation = events.find((event) => event.kind === 'evaluation');
    assert.deepEqual(evaluation && [evaluation.metric, evaluation.value], ['accuracy', 50]);
    assert.deepEqual(
      events.flatMap((event) => (event.kind === 'note' ? [event.message] : [])),
      ['half'],
    );
    assert.equal(states.at(-1)?.steps, 5);
    const paths = scriptPaths(run.folder);
    for (const file of [paths.reports, paths.process, paths.stop]) assert.ok(!existsSync(file), file);
    assert.ok(existsSync(paths.checkpoint));
  });

  it('tells it its seed, its choices, its folders; and keeps from it what is not its own', async (t) => {
    const folder = temporaryFolder(t, 'rankscope-script-');
    const names =
      'RANKSCOPE_SEED RANKSCOPE_CHOICE_RANK RANKSCOPE_CHOICE_LEARNING_RATE RANKSCOPE_RUN MINE PYTHONPATH';
    const file = pythonFile(folder, [
      'import json, os',
      `print('ENV ' + json.dumps({name: os.environ.get(name) for name in '${names} NODE_OPTIONS ELECTRON_RUN_AS_NODE RANKSCOPE_LAUNCH'.split()}))`,
    ]);
    const run = scriptRun(folder, {
      script: { file, environment: { MINE: '1', PYTHONPATH: '/mine' } },
      choices: { rank: 5, learningRate: 0.01, form: 'sine' },
      seed: 3,
    });
    const { log } = await begin(run).told;
    assert.deepEqual(JSON.parse(/^ENV (.*)$/m.exec(log)?.[1] ?? ''), {
      RANKSCOPE_SEED: '3',
      RANKSCOPE_CHOICE_RANK: '5',
      RANKSCOPE_CHOICE_LEARNING_RATE: '0.01',
      RANKSCOPE_RUN: run.folder,
      MINE: '1',
      PYTHONPATH: [path.join(run.folder, 'python'), '/mine'].join(path.delimiter),
      NODE_OPTIONS: null,
      ELECTRON_RUN_AS_NODE: null,
      RANKSCOPE_LAUNCH: null,
    });
    const before = { NODE_OPTIONS: '--x', ELECTRON_RUN_AS_NODE: '1', RANKSCOPE_LAUNCH: 'y', PATH: 'z' };
    const env = scriptEnvironment(run, {}, before);
    assert.deepEqual(
      [env.NODE_OPTIONS, env.ELECTRON_RUN_AS_NODE, env.RANKSCOPE_LAUNCH, env.PATH],
      [undefined, undefined, undefined, 'z'],
    );
  });

  it('runs a module, in the folder that the recipe names', async (t) => {
    const folder = temporaryFolder(t, 'rankscope-script-');
    const elsewhere = path.join(folder, 'elsewhere');
    mkdirSync(path.join(elsewhere, 'mine'), { recursive: true });
    writeFileSync(path.join(elsewhere, 'mine', '__init__.py'), '');
    pythonFile(path.join(elsewhere, 'mine'), ["print('module', __name__)"], 'train.py');
    const run = scriptRun(folder, { script: { module: 'mine.train', folder: elsewhere } });
    const { end, log } = await begin(run).told;
    assert.equal(end.state, 'done', log);
    assert.match(log, /-m mine\.train\nmodule __main__\n/);
  });

  it('says with which error it failed', async (t) => {
    const run = pythonRun(t, [
      'import sys',
      "print('x', file=sys.stderr)",
      "raise ValueError('no such class: 11')",
    ]);
    const { end, log } = await begin(run).told;
    assert.deepEqual(end, {
      state: 'failed',
      message: 'the script ended with code 1: ValueError: no such class: 11',
      exitCode: 1,
    });
    assert.match(log, /Traceback/);
    const killed = pythonRun(t, ['import os', 'os.kill(os.getpid(), 9)']);
    assert.deepEqual((await begin(killed).told).end, {
      state: 'failed',
      message: 'the script was ended by SIGKILL: it may have run out of memory',
    });
    const exit = pythonRun(t, ['import sys', 'sys.exit(3)']);
    assert.deepEqual((await begin(exit).told).end, {
      state: 'failed',
      message: 'the script ended with code 3',
      exitCode: 3,
    });
  });

  it('says in one line what cannot be started', async (t) => {
    const folder = temporaryFolder(t, 'rankscope-script-');
    const script = { file: 'x.py', python: '/no/such/python' };
    await assert.rejects(begin(scriptRun(folder, { script })).told, {
      message: '/no/such/python does not start (there is no such program): choose another interpreter',
    });
    const lost = scriptRun(folder, { script: { file: 'x.py', folder: '/no/such/folder' } });
    await assert.rejects(
      begin(lost).told,
      /^Error: \/no\/such\/folder: there is no such folder to run the script in$/,
    );
    const missing = await begin(scriptRun(folder, { script: { file: '/no/such.py' } })).told;
    assert.match(missing.end.message ?? '', /^the script ended with code 2: .*No such file/);
  });

  it('notes a loss that is no number', async (t) => {
    const run = pythonRun(t, [
      'from rankscope_log import log',
      "log(step=1, loss=float('nan'))",
      'print(\'{"step": 2, "loss": -Infinity}\')',
    ]);
    const { events } = await begin(run).told;
    const notes = events.flatMap((event) => (event.kind === 'note' ? [event.message] : []));
    assert.equal(notes.length, 1, notes.join());
    assert.match(notes[0] ?? '', /^the loss is (NaN at step 1|infinite at step 2)$/);
  });

  it('survives floods: progress bars, megabytes without a line end, bytes that are no text', async (t) => {
    const run = pythonRun(t, [
      'import sys',
      'out = sys.stdout.buffer',
      'for i in range(200000):',
      "    out.write(b'\\r%d%%|####' % i)",
      "out.write(b'\\n')",
      'for i in range(64):',
      "    out.write(b'x' * (1 << 20))",
      "out.write(b'\\n')",
      "out.write(bytes(range(256)) * 4096 + b'\\n')",
      "out.write(b'the same line\\n' * 2000000)",
      'out.write(b\'{"step": 7, "loss": 0.5}\\n\')',
      "sys.stderr.write('E' * 3000000)",
      'sys.exit(1)',
    ]);
    global.gc?.();
    const before = process.memoryUsage().rss;
    const { end, events, log } = await begin(run).told;
    const grown = (process.memoryUsage().rss - before) / (1 << 20);
    assert.equal(end.state, 'failed');
    assert.ok((end.message ?? '').length < 500);
    assert.equal(events.filter((event) => event.kind === 'train' && event.step === 7).length, 1);
    assert.ok(log.length < 6e6, String(log.length));
    assert.match(log, /… and \d{8} more characters/);
    assert.match(log, /lines left out/);
    // eslint-disable-next-line no-control-regex -- none of these may be left
    assert.doesNotMatch(log, /[\u0000-\u0008\u000b-\u001f]/);
    assert.ok(grown < 150, `${grown} MB`);
  });

  it('lets it save and end when it is asked to', async (t) => {
    const run = pythonRun(t, [
      ...PATIENT,
      'import os',
      "open(os.path.join(os.environ['RANKSCOPE_CHECKPOINT'], 'saved'), 'w').write(str(step))",
    ]);
    const stop = new AbortController();
    const running = begin(run, { signal: stop.signal });
    await until('reports', () => running.events.length > 2);
    stop.abort();
    assert.deepEqual((await running.told).end, { state: 'stopped' });
    assert.ok(Number(readFileSync(path.join(scriptPaths(run.folder).checkpoint, 'saved'), 'utf8')) > 2);
    // The next attempt begins without the wish.
    assert.ok(!existsSync(scriptPaths(run.folder).stop));
    assert.deepEqual((await begin(run, { signal: AbortSignal.abort() }).told).end, { state: 'stopped' });
  });

  it('knows who asked when it ends before we hear of it', async (t) => {
    const run = pythonRun(t, ['import time', 'print("up", flush=True)', 'time.sleep(0.5)']);
    const running = begin(run);
    await until('it is up', () => running.log().includes('up\n'));
    requestStop(run.folder);
    assert.equal((await running.told).end.state, 'stopped');
    const asked = pythonRun(t, ['import os, signal', 'os.kill(os.getpid(), signal.SIGTERM)']);
    assert.equal((await begin(asked).told).end.state, 'stopped');
  });

  it('ends one that asks nobody, by SIGTERM, and one that hears nothing by SIGKILL, workers and all', async (t) => {
    const plain = pythonRun(t, ['import time', 'print("up", flush=True)', 'time.sleep(600)']);
    const stop = new AbortController();
    const running = begin(plain, { signal: stop.signal });
    await until('it is up', () => running.log().includes('up\n'));
    const before = performance.now();
    stop.abort();
    assert.deepEqual((await running.told).end, { state: 'stopped' });
    assert.ok(performance.now() - before < 5000);

    const deaf = pythonRun(t, [
      'import signal, subprocess, sys, time',
      'signal.signal(signal.SIGTERM, signal.SIG_IGN)',
      "nap = [sys.executable, '-c', 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)']",
      'a = subprocess.Popen(nap)',
      'b = subprocess.Popen(nap, start_new_session=True)',
      "print('children', a.pid, b.pid, flush=True)",
      'time.sleep(600)',
    ]);
    const second = new AbortController();
    const stubborn = begin(deaf, { signal: second.signal, graceMilliseconds: 1000 });
    const [, a, b] = await until(
      'children',
      () => /^children (\d+) (\d+)$/m.exec(stubborn.log()) ?? undefined,
    );
    second.abort();
    const { end } = await stubborn.told;
    assert.deepEqual(end, {
      state: 'stopped',
      message: 'the script did not end when it was asked to, and was killed',
    });
    for (const child of [a, b])
      await until('the end of a child', async () => (await processTime(Number(child))) === undefined);
  });

  it('ends what an earlier attempt left running', async (t) => {
    const run = pythonRun(t, ['import os, time', 'print("pid", os.getpid(), flush=True)', 'time.sleep(0.1)']);
    const deaf = pythonRun(t, [
      'import os, signal, sys, time',
      'signal.signal(signal.SIGTERM, signal.SIG_IGN)',
      'print("pid", os.getpid(), flush=True)',
      'time.sleep(600)',
    ]);
    const stop = new AbortController();
    const running = begin(deaf, { signal: stop.signal, graceMilliseconds: 60_000 });
    const pid = await until('it is up', () => /^pid (\d+)$/m.exec(running.log())?.[1]);
    const noted = await until('its number', () => {
      const file = scriptPaths(deaf.folder).process;
      return existsSync(file) && readFileSync(file, 'utf8');
    });
    assert.equal((JSON.parse(noted) as { pid: number }).pid, Number(pid));
    writeFileSync(scriptPaths(run.folder).process, noted);
    const { log } = await begin(run).told;
    assert.match(log, /^The script of an earlier attempt was still running: it was ended\.\n\$ /);
    assert.equal(await processTime(Number(pid)), undefined);
    assert.equal((await running.told).end.state, 'failed');
    // A number that is another's by now.
    writeFileSync(scriptPaths(run.folder).process, noted.replace(`"pid":${pid}`, `"pid":${process.pid}`));
    assert.doesNotMatch((await begin(run).told).log, /was ended/);
  });

  it('takes the script along when the runner ends in the middle of it', async (t) => {
    const run = pythonRun(t, ['import os, time', 'print("pid", os.getpid(), flush=True)', 'time.sleep(600)']);
    const runner = path.join(temporaryFolder(t, 'rankscope-script-'), 'runner.js');
    writeFileSync(
      `${runner}.ts`,
      `import { runScript } from ${JSON.stringify(path.join(ROOT, 'src/training/script/index'))};
       import { readRun } from ${JSON.stringify(path.join(ROOT, 'src/training/run/runFolder'))};
       const [folder, helper, python] = process.argv.slice(2);
       const log = (text) => {
         process.stdout.write(text);
         if (text.startsWith('pid')) setTimeout(() => { throw new Error('in the middle'); }, 200);
       };
       const signal = new AbortController().signal;
       runScript(readRun(folder), { signal, helper, python, log, onEvents: () => {}, onState: () => {} });`,
    );
    buildSync({ entryPoints: [`${runner}.ts`], outfile: runner, bundle: true, platform: 'node' });
    const { status, stdout } = spawnSync(process.execPath, [runner, run.folder, HELPER, PYTHON], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.equal(status, 1, stdout);
    const [, pid] = /^pid (\d+)$/m.exec(stdout) ?? [];
    assert.ok(pid !== undefined, stdout);
    await until("the script's end", async () => (await processTime(Number(pid))) === undefined);
  });

  it('takes back what an earlier attempt told of steps that are made again', async (t) => {
    const run = pythonRun(t, ['from rankscope_log import log', 'log(step=3, loss=9)', 'log(step=4, loss=9)']);
    appendEvents(
      run.folder,
      [1, 2, 3, 4, 5].map((step) => ({ kind: 'train' as const, step, loss: step })),
    );
    await runScript(run, {
      signal: NEVER,
      helper: HELPER,
      python: PYTHON,
      onEvents: (events) => {
        appendEvents(run.folder, events);
      },
      onState: () => undefined,
      log: () => undefined,
    });
    assert.deepEqual(
      readEvents(run.folder).map((event) => event.kind === 'train' && [event.step, event.loss]),
      [
        [1, 1],
        [2, 2],
        [3, 9],
        [4, 9],
      ],
    );
  });

  it('keeps the reports of many processes apart, and prints them where nobody listens', async (t) => {
    const run = pythonRun(t, [
      'from multiprocessing import Process',
      'from rankscope_log import log',
      'def work(k):',
      '    for i in range(200):',
      '        log(step=1000 * k + i, loss=1, pad="x" * 500)',
      'if __name__ == "__main__":',
      '    workers = [Process(target=work, args=(k,)) for k in range(4)]',
      '    [w.start() for w in workers]',
      '    [w.join() for w in workers]',
    ]);
    const { events } = await begin(run).told;
    assert.equal(new Set(events.map((event) => event.step)).size, 800);
    const alone = spawnSync(
      PYTHON,
      ['-c', 'from rankscope_log import *; log(step=1, loss=2); print(should_stop())'],
      {
        env: { PYTHONPATH: path.dirname(HELPER), PATH: process.env.PATH },
        encoding: 'utf8',
      },
    );
    assert.equal(alone.stdout, '{"step": 1, "loss": 2}\nFalse\n', alone.stderr);
  });

  it('hears when nobody follows it any more', (t) => {
    const run = pythonRun(t, PATIENT);
    const env = scriptEnvironment(run, {});
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    const file = run.record.resolved.training.script?.file ?? '';
    const modules = { PYTHONPATH: path.dirname(HELPER) };
    const { status } = spawnSync(PYTHON, [file], {
      env: { ...env, ...modules, RANKSCOPE_RUNNER: String(dead) },
      timeout: 20_000,
    });
    assert.equal(status, 0);
  });

  it('runs two processes through torchrun, of which one reports', { skip: WITHOUT_TORCH }, async (t) => {
    const run = pythonRun(
      t,
      [
        'import os, torch, torch.distributed as dist',
        'from rankscope_log import log',
        "dist.init_process_group('gloo')",
        'rank, size = dist.get_rank(), dist.get_world_size()',
        'total = torch.tensor([rank + 1.0])',
        'dist.all_reduce(total)',
        "print(f'rank {rank} of {size}', flush=True)",
        'log(step=1, loss=total, samples=torch.tensor(3))',
        'dist.destroy_process_group()',
      ],
      twoProcesses(t),
    );
    const { end, events, log } = await begin(run).told;
    assert.deepEqual(end, { state: 'done' }, log);
    assert.match(log, /-m torch\.distributed\.run --standalone --nproc_per_node 2 \S+script\.py\n/);
    assert.match(log, /rank 0 of 2/);
    assert.match(log, /rank 1 of 2/);
    assert.deepEqual(
      events.map((event) => event.kind === 'train' && [event.step, event.loss, event.more]),
      [[1, 3, { samples: 3 }]],
    );
  });

  it(
    'names the error of a process under torchrun, and stops all of them',
    { skip: WITHOUT_TORCH },
    async (t) => {
      const torchrun = twoProcesses(t);
      const failing = pythonRun(
        t,
        ['import os', "assert os.environ['RANK'] == '0', 'rank 1 gives up'"],
        torchrun,
      );
      const { end } = await begin(failing).told;
      assert.deepEqual([end.state, end.exitCode], ['failed', 1]);
      assert.match(end.message ?? '', /AssertionError: rank 1 gives up/);

      const patient = pythonRun(t, PATIENT, torchrun);
      const stop = new AbortController();
      const running = begin(patient, { signal: stop.signal, graceMilliseconds: 20_000 });
      await until('reports', () => running.events.length > 2);
      stop.abort();
      assert.deepEqual((await running.told).end, { state: 'stopped' });
    },
  );
});
