/** The Python host: what it says when something is wrong, and how it ends. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPython, openPythonNetwork } from '../../src/network/python';
import { ROOT } from '../reference/references';
import { MODELS, NEEDS_TORCH, NEVER, PYTHON, exchangeFolders, open, using } from './pythonHost';

/** Mistakes that are found when the model is opened, and what is said of them. */
const MISTAKES: Readonly<Record<string, RegExp>> = {
  raises: /^models\.py:\d+: RuntimeError: weights\.pth is not there, while running raises\(\)$/,
  needs_module:
    /models\.py:\d+ needs the Python module a_module_that_nobody_has, .*install it there, or choose/,
  nowhere: /^models\.py has no function nowhere \(functions there: .*, .*, .* and \d+ more\)$/,
  configured:
    /^configured\(depth, .*\) in models\.py: missing a required argument: 'depth'; correct the recipe's/,
  returns_none: /^returns_none\(\) returned NoneType: return \(model, validation batches\)/,
  returns_four: /^returns_four\(\) returned a tuple of 4: return/,
  returns_no_model: /returned dict as the model, not an nn\.Module/,
  returns_no_batches: /returned no batches/,
  returns_other_keys: /returned a dict with batches; it may have: model, validation, gram, evaluate/,
  returns_wrong_evaluate: /returned int as evaluate, not a function/,
  empty: /batches are empty: give at least one batch/,
  not_iterable: /cannot be iterated over: int/,
  triples: /is a tuple of 3: give \(inputs, labels\)/,
  no_layers: /has no nn\.Linear or nn\.Conv layers that ran/,
  wrong_shape:
    /RuntimeError: .*shapes cannot be multiplied.*, while running the first batch \(inputs: float32 \[6, 5\]\)/,
  bad_evaluate: /evaluate returned a dict without "accuracy" \(percent\) or "loss"/,
  over_hundred: /evaluate returned an accuracy of 750: give percent/,
  failing_evaluate: /^models\.py:\d+: ZeroDivisionError: division by zero, while running evaluate$/,
  scripted: /TorchScript, whose layers cannot be reached/,
  dies: /^Python \(.*\) was killed while running dies\(\) of models\.py: it may have run out of memory/,
  exits: /^models\.py:\d+: SystemExit: 3, while running exits\(\)$/,
};

/** Mistakes that show when the data is run. */
const LATER: Readonly<Record<string, RegExp>> = {
  unlabelled:
    /have no labels: give batches of \(inputs, labels\), or an evaluate function, or measure with fixed/,
  float_labels: /labels are float32, not integers \(outputs \[6, 4\], labels \[6\]\): give one integer class/,
  too_many_classes: /label \d, but the model has 4 outputs: classes count from 0/,
  misfit_labels: /labels do not fit the outputs \(outputs \[6, 4\], labels \[2\]\)/,
  nan_inputs: /outputs are NaN in validation batch 1: check the data, its normalisation, and the weights/,
};

const oneLine = (error: unknown, pattern: RegExp): true => {
  assert.ok(error instanceof Error);
  assert.match(error.message, pattern);
  assert.ok(!error.message.includes('\n'), error.message);
  return true;
};

describe('a mistake in the user’s code', NEEDS_TORCH, () => {
  for (const [name, pattern] of Object.entries(MISTAKES)) {
    test(`is told in a line: ${name}`, async () => {
      await assert.rejects(open(name), (error) => oneLine(error, pattern));
    });
  }

  for (const [name, pattern] of Object.entries(LATER)) {
    test(`is told in a line when the data is run: ${name}`, async () => {
      await using(name, async (network) => {
        await assert.rejects(network.evaluate(undefined, NEVER), (error) => oneLine(error, pattern));
      });
    });
  }

  test('activations that are not numbers name the layer and the batch', async () => {
    await using('nan_inputs', async (network) => {
      const grams = network.inputGrams([0, 1], () => Promise.resolve(), NEVER);
      await assert.rejects(
        grams,
        /activations that reach 0\.weight are not numbers .* in Gram batch 1: check/,
      );
    });
  });

  test('a share of 1 taken for percent is noted', async () => {
    await using('fraction', ({ facts }) => {
      assert.match(facts.notes.join('\n'), /evaluate returned 0\.75: taken as percent/);
      return Promise.resolve();
    });
  });

  test('shows its whole traceback in the log', async () => {
    const log: string[] = [];
    await assert.rejects(open('raises', { log }));
    assert.ok(log.some((line) => line.startsWith('Traceback')));
    assert.ok(log.some((line) => line.includes('not there')));
  });

  test('files that do not parse, or are not there, are named', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-test-'));
    try {
      const file = path.join(folder, 'broken.py');
      writeFileSync(file, 'x = 1\ndef load(:\n');
      const openFile = (name: string) => openPythonNetwork({ python: PYTHON, file: name, signal: NEVER });
      await assert.rejects(openFile(file), /^Error: broken\.py:2: SyntaxError: .*, while importing it$/);
      await assert.rejects(openFile(path.join(folder, 'absent.py')), /absent\.py does not exist: correct/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the interpreter', () => {
  test('that was chosen and is not there is named', async () => {
    const openWith = (python: string) => openPythonNetwork({ python, file: MODELS, signal: NEVER });
    await assert.rejects(
      openWith('/nowhere/python'),
      /\/nowhere\/python does not start \(there is no such file\)/,
    );
    await assert.rejects(openWith(process.execPath), /does not start|does not answer like Python/);
  });

  test('is the first candidate that is given', NEEDS_TORCH, async () => {
    assert.equal(await findPython([undefined, PYTHON, '/nowhere/python']), PYTHON);
  });

  test('without torch says how to get it', NEEDS_TORCH, async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-test-'));
    try {
      // A Python that cannot find torch, as one without it: modules of this folder come first.
      writeFileSync(
        path.join(folder, 'torch.py'),
        'raise ModuleNotFoundError("No module named \'torch\'", name="torch")\n',
      );
      process.env.PYTHONPATH = folder;
      await assert.rejects(
        open('plain'),
        /^Error: torch is not installed in .*: choose another interpreter, or install it with: .* -m pip install torch$/,
      );
    } finally {
      delete process.env.PYTHONPATH;
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the process', NEEDS_TORCH, () => {
  /** A network in the middle of a pass that takes an hour, and its process. */
  async function sleeping(signal = NEVER) {
    const log: string[] = [];
    const network = await open('sleeps', { log });
    const weight = await network.weight(0, NEVER);
    const answer = network.evaluate({ layer: 0, weight }, signal);
    answer.catch(() => undefined);
    for (;;) {
      const pid = /^sleeping (\d+)$/m.exec(log.join('\n'))?.[1];
      if (pid !== undefined) return { network, answer, pid: Number(pid) };
      await sleep(20);
    }
  }

  function isAlive(pid: number): boolean {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  }

  test('killed in a call, rejects it with what to do, and every later one', async () => {
    const { network, answer, pid } = await sleeping();
    process.kill(pid, 'SIGKILL');
    await assert.rejects(answer, /was killed while evaluating the network: it may have run out of memory/);
    await assert.rejects(network.evaluate(undefined, NEVER), /was killed/);
    await network.dispose();
    assert.deepEqual(exchangeFolders(), []);
  });

  test('is gone within a second after an abort, whatever it was doing', async () => {
    const controller = new AbortController();
    const { network, answer, pid } = await sleeping(controller.signal);
    const reason = new Error('enough');
    const started = performance.now();
    controller.abort(reason);
    await assert.rejects(answer, reason);
    assert.ok(performance.now() - started < 1000);
    await network.dispose();
    assert.equal(isAlive(pid), false);
    assert.deepEqual(exchangeFolders(), []);
  });

  test('ends with its network, in the middle of a call too', async () => {
    const { network, answer, pid } = await sleeping();
    await network.dispose();
    await assert.rejects(answer, /is closed|ended/);
    assert.equal(isAlive(pid), false);
    assert.deepEqual(exchangeFolders(), []);
  });

  test('ends when whoever started it is gone, and leaves nothing behind', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-python-'));
    const host = path.join(ROOT, 'media/python/rankscope_host.py');
    const child = spawn(PYTHON ?? '', ['-u', host], { stdio: ['pipe', 'pipe', 'ignore'] });
    const params = { file: MODELS, function: 'sleeps_at_once', arguments: {}, folder };
    child.stdin.write(`${JSON.stringify({ id: 1, method: 'open', params })}\n`);
    let text = '';
    for await (const chunk of child.stdout) if ((text += String(chunk)).includes('running sleeps')) break;
    const exited = once(child, 'exit');
    child.stdin.end();
    assert.deepEqual(await exited, [0, null]);
    assert.equal(existsSync(folder), false);
  });

  test('does not start after an abort', async () => {
    const reason = new Error('too late');
    await assert.rejects(open('plain', { signal: AbortSignal.abort(reason) }), reason);
    assert.deepEqual(exchangeFolders(), []);
  });
});
