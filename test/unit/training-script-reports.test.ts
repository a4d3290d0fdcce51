import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../src/training/run/run';
import { commandOf } from '../../src/training/script/command';
import { choiceVariable } from '../../src/training/script/environment';
import { EventBudget } from '../../src/training/script/eventBudget';
import { LastLines, failureOf } from '../../src/training/script/failure';
import { LineSplitter, MAX_LINE } from '../../src/training/script/lines';
import { cleaned, OutputLog } from '../../src/training/script/outputLog';
import { pythonOf } from '../../src/training/script/python';
import { parseReport } from '../../src/training/script/report';
import { ReportReader } from '../../src/training/script/reportEvents';

function eventsOf(lines: readonly string[], reader = new ReportReader()): readonly RunEvent[] {
  return lines.flatMap((line) => {
    const report = parseReport(line);
    assert.ok(report !== undefined, line);
    return reader.read(report, 1).events;
  });
}

function numbersOf(line: string): Record<string, number> | undefined {
  const report = parseReport(line);
  return report && Object.fromEntries(report.numbers);
}

describe('reports of scripts', () => {
  it('are lines of JSON with numbers, whatever libraries call them', () => {
    assert.deepEqual(numbersOf('  {"step": 3, "loss": 0.5}\r'), { step: 3, loss: 0.5 });
    assert.deepEqual(numbersOf('{"valLoss": 1, "val/Accuracy": 2, "val-f1": 3}'), {
      val_loss: 1,
      val_accuracy: 2,
      val_f1: 3,
    });
    assert.deepEqual(numbersOf('{"name": "x", "flag": true, "deep": {"loss": 1}, "none": null, "n": 1}'), {
      n: 1,
    });
    assert.deepEqual(numbersOf("{'loss': 0.25, 'learning_rate': 5e-05, 'epoch': 0.5}"), {
      loss: 0.25,
      learning_rate: 5e-5,
      epoch: 0.5,
    });
    for (const line of [
      '',
      '[1, 2]',
      'loss 0.5',
      '{',
      '{"loss": }',
      '{loss: 1}',
      '"{}"',
      `{"a": ${'['.repeat(5000)}}`,
    ])
      assert.equal(parseReport(line), undefined, line.slice(0, 20));
    assert.equal(parseReport(`{"a": "${'x'.repeat(20_000)}"}`), undefined);
  });

  it('hold what is no number by the names that Python prints', () => {
    const found = numbersOf('{"a": NaN, "b": -Infinity, "c": Infinity, "d": "NaN", "e": "nane", "f": 1e999}');
    assert.deepEqual(found, { a: NaN, b: -Infinity, c: Infinity, d: NaN, f: Infinity });
    assert.deepEqual(numbersOf("{'loss': nan, 'x': -inf}"), { loss: NaN, x: -Infinity });
  });

  it('cannot be anything but names and numbers', () => {
    assert.deepEqual(numbersOf('{"__proto__": 1, "constructor": 2, "loss": 3}'), {
      ['__proto__']: 1,
      constructor: 2,
      loss: 3,
    });
    const many = JSON.stringify(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`n${i}`, i])));
    assert.equal(parseReport(many)?.numbers.size, 100);
  });

  it('become events of training and of evaluations', () => {
    assert.deepEqual(
      eventsOf([
        '{"step": 10, "epoch": 0.5, "train/loss": 0.5, "lr": 0.1, "throughput": 99, "grad_norm": 2}',
        '{"global_step": 20, "val_loss": 0.4, "val_acc": 0.75, "val_f1": 0.7}',
      ]),
      [
        {
          kind: 'train',
          step: 10,
          epoch: 0.5,
          loss: 0.5,
          learningRate: 0.1,
          samplesPerSecond: 99,
          more: { grad_norm: 2 },
          seconds: 1,
        },
        { kind: 'train', step: 20, more: { val_f1: 0.7 }, seconds: 1 },
        {
          kind: 'evaluation',
          step: 20,
          metric: 'accuracy',
          higherIsBetter: true,
          value: 75,
          loss: 0.4,
          seconds: 1,
        },
      ],
    );
  });

  it('are judged by one number: that of the validation, once there is one', () => {
    const values = eventsOf([
      '{"step": 1, "accuracy": 0.1}',
      '{"step": 2, "accuracy": 0.9, "val_accuracy": 0.2}',
      '{"step": 3, "accuracy": 0.9}',
      '{"step": 4, "val_accuracy": 0.3}',
    ]).flatMap((event) => (event.kind === 'evaluation' ? [[event.step, event.value]] : []));
    assert.deepEqual(values, [
      [1, 10],
      [2, 20],
      [4, 30],
    ]);
    const losses = eventsOf(['{"step": 1, "eval_loss": 2}', '{"step": 2, "eval_loss": 3, "ppl": 20}']);
    assert.deepEqual(
      losses.map(
        (event) =>
          event.kind === 'evaluation' && [event.metric, event.higherIsBetter, event.value, event.loss],
      ),
      [
        ['loss', false, 2, undefined],
        ['perplexity', false, 20, 3],
      ],
    );
  });

  it('are shown in percent, whichever the script means', () => {
    const percent = eventsOf(['{"step": 1, "val_accuracy": 10}', '{"step": 2, "val_accuracy": 0.5}']);
    assert.deepEqual(
      percent.map((event) => event.kind === 'evaluation' && event.value),
      [10, 0.5],
    );
    const late = eventsOf(['{"step": 1, "iou": 0.5}', '{"step": 2, "iou": 40}', '{"step": 3, "iou": 41}']);
    assert.deepEqual(
      late.map((event) => (event.kind === 'evaluation' ? event.value : event.kind)),
      [50, 40, 'note', 41],
    );
    const psnr = eventsOf(['{"step": 1, "psnr": 0.5}']);
    assert.deepEqual(
      psnr.map((event) => event.kind === 'evaluation' && event.value),
      [0.5],
    );
  });

  it('count themselves where they have no step', () => {
    const steps = eventsOf([
      "{'loss': 3}",
      "{'loss': 2}",
      "{'eval_loss': 1}",
      '{"step": 9, "loss": 1}',
      '{"loss": 1}',
    ]);
    assert.deepEqual(
      steps.map(({ step }) => step),
      [1, 2, 2, 9, 10],
    );
    assert.equal(eventsOf(['{"step": -4, "loss": 1}'])[0]?.step, 1);
  });

  it('say once that the loss is no number', () => {
    const events = eventsOf([
      '{"step": 1, "loss": 1}',
      '{"step": 2, "loss": NaN}',
      '{"step": 3, "loss": NaN, "lr": 0.1}',
      '{"step": 4, "loss": 1}',
      '{"step": 5, "loss": Infinity}',
    ]);
    assert.deepEqual(events, [
      { kind: 'train', step: 1, loss: 1, seconds: 1 },
      { kind: 'note', step: 2, message: 'the loss is NaN at step 2' },
      { kind: 'train', step: 3, learningRate: 0.1, seconds: 1 },
      { kind: 'train', step: 4, loss: 1, seconds: 1 },
      { kind: 'note', step: 5, message: 'the loss is infinite at step 5' },
    ]);
  });

  it('tell apart what programs print for other reasons', () => {
    const isTelling = (line: string): boolean => {
      const report = parseReport(line);
      return report !== undefined && ReportReader.isTelling(report);
    };
    assert.deepEqual(
      ['{"port": 80}', '{"message": "hello"}', '{"lr": 0.1}', '{"val_psnr": 3}', '{"step": 1}'].map(
        isTelling,
      ),
      [false, false, true, true, true],
    );
  });
});

describe('events of scripts', () => {
  it('come as they are told until there are very many, then thinned out with the mean of the loss', () => {
    let now = 0;
    const told: RunEvent[] = [];
    const budget = new EventBudget(
      (events) => told.push(...events),
      () => now,
    );
    for (let step = 1; step <= 10_000; step++) budget.add([{ kind: 'train', step, loss: step }]);
    assert.equal(told.length, 2000);
    assert.deepEqual(told.at(-1), { kind: 'train', step: 2000, loss: 2000 });
    budget.add([{ kind: 'evaluation', step: 10_000, metric: 'iou', higherIsBetter: true, value: 3 }]);
    now += 1000;
    budget.pass();
    assert.deepEqual(told.slice(2000), [
      { kind: 'train', step: 10_000, loss: (2001 + 10_000) / 2 },
      { kind: 'evaluation', step: 10_000, metric: 'iou', higherIsBetter: true, value: 3 },
    ]);
    budget.add([{ kind: 'train', step: 10_001, loss: 1 }]);
    budget.add(Array.from({ length: 5 }, (_, i) => ({ kind: 'train' as const, step: 10_002 + i, loss: 2 })));
    budget.end();
    assert.equal(told.at(-1)?.step, 10_006);
  });
});

describe('what scripts print', () => {
  function linesOf(pieces: readonly string[]): readonly string[] {
    const found: string[] = [];
    const lines = new LineSplitter({
      onLine: (line, cut) => found.push(cut > 0 ? `${line.length}+${cut}` : line),
      onProgress: (line) => found.push(`~${line}`),
    });
    for (const piece of pieces) lines.push(piece);
    lines.end();
    return found;
  }

  it('is taken apart into lines, wherever the pieces end', () => {
    const text = 'one\ntwo\r\n\n 10%\r 20%\r100%\nlast';
    const whole = ['one', 'two', '', '~ 10%', '~ 20%', '100%', 'last'];
    assert.deepEqual(linesOf([text]), whole);
    assert.deepEqual(linesOf(text.split('')), whole);
    assert.deepEqual(linesOf([]), []);
    assert.deepEqual(linesOf(['a\r']), ['a']);
  });

  it('does not fill the memory without a line end', () => {
    const piece = 'x'.repeat(1 << 20);
    assert.deepEqual(linesOf([...Array.from({ length: 64 }, () => piece), '\nnext\n']), [
      `${MAX_LINE}+${64 * (1 << 20) - MAX_LINE}`,
      'next',
    ]);
  });

  it('comes into the log as plain text, long lines cut and floods counted', () => {
    let now = 0;
    let written = '';
    const log = new OutputLog(
      (text) => (written += text),
      () => now,
    );
    log.line('\u001b[31mred\u001b[0m \u0000\u0007 é\ttab \u001b]0;title\u0007end');
    assert.equal(written, 'red \ufffd\ufffd é\ttab end\n');
    written = '';
    log.line('y'.repeat(5000), 7);
    assert.equal(written, `${'y'.repeat(4000)}… and 1007 more characters\n`);
    written = '';
    for (let i = 0; i < 1_000_000; i++) log.line('the same again');
    assert.ok(written.length < 4.2e6, String(written.length));
    written = '';
    now += 10_000;
    log.line('later');
    assert.match(written, /^… \d+ lines left out: the program prints more than is kept\nlater\n$/);
    written = '';
    for (let i = 0; i < 100; i++) {
      now += 100;
      log.progress(`${i}%`);
    }
    assert.equal(written, '0%\n50%\n');
    assert.equal(cleaned('\u009b31m\u202e'), '\ufffd31m\u202e');
  });

  it('ends with the line that names the error', () => {
    const last = new LastLines();
    assert.equal(last.reason, undefined);
    for (const line of [
      'Traceback (most recent call last):',
      '  File "x"',
      'ValueError: no such class',
      '',
      '=====',
    ])
      last.add(line);
    assert.equal(last.reason, 'ValueError: no such class');
    last.add('torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ');
    assert.equal(last.reason, 'ValueError: no such class');
    assert.equal(failureOf(1, null, last.reason), 'the script ended with code 1: ValueError: no such class');
    assert.match(failureOf(null, 'SIGKILL', undefined), /ended by SIGKILL: it may have run out of memory/);
  });
});

describe('the command of a script', () => {
  it('is Python and the words of the recipe', () => {
    const words = ['--rank', '5', 'a b'];
    assert.deepEqual(commandOf({ file: '/x/train.py', arguments: words }, 'py'), [
      'py',
      '/x/train.py',
      ...words,
    ]);
    assert.deepEqual(commandOf({ module: 'pkg.train' }, 'py'), ['py', '-m', 'pkg.train']);
    const torchrun = ['py', '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2'];
    assert.deepEqual(commandOf({ file: '/x/train.py', torchrun: 2 }, 'py'), [...torchrun, '/x/train.py']);
    assert.deepEqual(commandOf({ module: 'pkg', torchrun: 2 }, 'py'), [...torchrun, '-m', 'pkg']);
  });

  it("takes the recipe's interpreter before the chosen one", () => {
    assert.equal(pythonOf({ python: '/own/python' }, '/chosen'), '/own/python');
    assert.equal(pythonOf({}, '/chosen'), '/chosen');
    assert.match(pythonOf({}, ''), /^python3?$/);
  });

  it('finds the choices of its run in variables', () => {
    assert.deepEqual(['learningRate', 'rank', 'my axis-2'].map(choiceVariable), [
      'RANKSCOPE_CHOICE_LEARNING_RATE',
      'RANKSCOPE_CHOICE_RANK',
      'RANKSCOPE_CHOICE_MY_AXIS_2',
    ]);
  });
});
