/** Runs as the extension follows them: what it keeps, what its page is told, and how it asks the engine. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from '../../src/engine/connection';
import type { JobListener } from '../../src/extension/engineClient';
import { RecipeRuns, type WatchingEngine } from '../../src/extension/training/recipeRuns';
import { RecipeRunsHub } from '../../src/extension/training/recipeRunsHub';
import { LogLines, RunNarrator } from '../../src/extension/training/runNarrator';
import {
  BoundedCurve,
  MAX_MOMENTS,
  MAX_POINTS,
  POINT,
  RunSeries,
} from '../../src/extension/training/runSeries';
import { TrainingFeed } from '../../src/extension/training/trainingFeed';
import { NOTHING_YET, receive, type TrainingState } from '../../webview/training/model/state';
import type { RecipeLook, RunEvent, RunSummary, ToTraining } from '../../webview/training/protocol';
import { evaluation, plain, run, train, utilization } from './trainingRuns';

/** Long enough for every message that is due. */
const SETTLED_MS = 120;

const LOOK: RecipeLook = { ...{ trains: true, measures: false, script: false }, forms: ['sine'], seeds: [] };

const kinds = (page: readonly ToTraining[]): string[] => page.map(({ type }) => type);

/** The page's state after these messages. */
const shown = (page: readonly ToTraining[]): TrainingState =>
  page.reduce((state, message) => (message.type === 'reply' ? state : receive(state, message)), NOTHING_YET);

const column = (values: Float64Array | undefined, field: number): number[] =>
  Array.from(values ?? []).filter((_, i) => i % POINT === field);

describe('a curve of bounded length', () => {
  const add = (curve: BoundedCurve, steps: number, of: (step: number) => number): void => {
    for (let step = 1; step <= steps; step++) curve.add({ step, epoch: NaN, seconds: step / 10 }, of(step));
  };

  test('keeps a short one as it is', () => {
    const curve = new BoundedCurve();
    add(curve, 100, (step) => 2 * step);
    const { from, values } = curve.take() ?? assert.fail();
    assert.equal(from, 0);
    assert.deepEqual(column(values, 0).slice(0, 3), [1, 2, 3]);
    assert.deepEqual(column(values, 3).slice(-2), [198, 200]);
    assert.equal(curve.take(), undefined, 'nothing is told twice');
  });

  test('keeps mean, least and largest of a hundred thousand events in at most a thousand points', () => {
    const curve = new BoundedCurve();
    const peak = 77_777;
    add(curve, 100_000, (step) => (step === peak ? 1000 : step % 10));
    const { values } = curve.take() ?? assert.fail();
    const points = values.length / POINT;
    assert.ok(points <= MAX_POINTS && points > MAX_POINTS / 2, String(points));
    assert.equal(Math.max(...column(values, 5)), 1000, 'the peak');
    assert.equal(Math.min(...column(values, 4)), 0);
    const steps = column(values, 0);
    assert.equal(steps.at(-1), 100_000);
    assert.ok(steps.every((step, i) => i === 0 || step > (steps[i - 1] ?? 0)));
    // Every point but the last stands for as many events.
    const means = column(values, 3).slice(0, -1);
    const span = steps[0] ?? 0;
    const sum = means.reduce((total, mean) => total + mean * span, 0);
    let exact = 0;
    for (let step = 1; step <= span * means.length; step++) exact += step === peak ? 1000 : step % 10;
    assert.ok(Math.abs(sum - exact) < 1e-6 * exact, `${sum} ${exact}`);
  });

  test('tells only what changed, and all again when points were taken together', () => {
    const curve = new BoundedCurve();
    add(curve, MAX_POINTS, (step) => step);
    curve.take();
    curve.add({ step: MAX_POINTS + 1, epoch: NaN, seconds: NaN }, 7);
    assert.equal(curve.take()?.from, 0, 'pairs were joined');
    curve.add({ step: MAX_POINTS + 2, epoch: NaN, seconds: NaN }, 9);
    const { from, values } = curve.take() ?? assert.fail();
    assert.equal(from, MAX_POINTS / 2);
    assert.deepEqual([...values.slice(3)], [8, 7, 9], 'the last point takes in the next event');
  });
});

describe('what a run told', () => {
  test('is put together from events of all kinds', () => {
    const series = new RunSeries();
    const events: RunEvent[] = [
      train(10, 2, { learningRate: 0.1, samplesPerSecond: 500, more: { norm: 3 } }),
      evaluation(10, 55, { loss: 1.5 }),
      utilization(10, 4, 5),
      { kind: 'note', step: 10, message: 'slow' },
    ];
    for (const event of events) series.add(event);
    assert.deepEqual(
      [...series.curves.keys()],
      [
        ...['loss', 'learningRate', 'throughput', 'more:norm', 'metric:accuracy', 'validationLoss'],
        ...['utilized', 'original'],
      ],
    );
    // An evaluation does not say how long the run took: as long as was said last.
    assert.deepEqual(
      [...(series.curves.get('metric:accuracy')?.take()?.values ?? [])].slice(0, 4),
      [10, 0.2, 1, 55],
    );
    assert.deepEqual(series.notes, [{ step: 10, message: 'slow' }]);
    assert.equal(series.length, 4);
    const layers = series.layers('/a');
    assert.deepEqual(
      [layers?.names, [...(layers?.utilized ?? [])]],
      [
        ['l0.weight', 'l1.weight'],
        [4, 5],
      ],
    );
  });

  test('of layers stays small: moments evenly spread, the first and the newest among them', () => {
    const series = new RunSeries();
    for (let step = 0; step < 10_000; step++) series.add(utilization(step, step % 11));
    const { steps, utilized } = series.layers('/a') ?? assert.fail();
    assert.ok(steps.length <= MAX_MOMENTS && steps.length > MAX_MOMENTS / 3, String(steps.length));
    assert.deepEqual([steps[0], steps.at(-1)], [0, 9999]);
    assert.equal(utilized.length, steps.length);
    const gaps = steps.slice(1, -1).map((step, i) => step - (steps[i] ?? 0));
    assert.equal(new Set(gaps).size, 1, gaps.join());
  });

  test('may be anything where a script wrote it', () => {
    const series = new RunSeries();
    const hostile: unknown[] = [
      { kind: 'train', step: 1, loss: null, more: { __proto__: 5, a: 'x', b: 2 } },
      { kind: 'train', step: Infinity, loss: 5 },
      {
        kind: 'train',
        step: 2,
        more: Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`n${i}`, i])),
      },
      { kind: 'evaluation', step: 2, metric: 'f1', value: 'high' },
      { kind: 'utilization', step: 3, utilized: 0.5, original: 1, layers: 'none' },
      { kind: 'utilization', step: 3, utilized: 0.5, original: 1, layers: [{ name: 7 }, null] },
      { kind: 'note', message: { a: 1 } },
    ];
    // What a script's file holds is only known to be an event of some kind.
    for (const event of hostile) series.add(event as RunEvent);
    assert.equal(series.curves.has('loss'), false);
    assert.ok(series.curves.has('more:b') && !series.curves.has('more:a'));
    assert.ok(series.curves.size <= 40);
    assert.equal(series.layers('/a'), undefined);
    assert.deepEqual(series.notes, [{ message: '{"a":1}' }]);
  });
});

function feedWithPage() {
  const feed = new TrainingFeed({ roundMs: 5, pauseMs: 1, numbersPerMessage: 600 });
  const page: ToTraining[] = [];
  const attach = (): void => {
    feed.attach((message) => page.push(message));
  };
  attach();
  return { feed, page, attach };
}

describe('the feed of a page of runs', () => {
  test('tells runs, then what they told; each only once', async () => {
    const { feed, page } = feedWithPage();
    feed.looked(LOOK, true);
    feed.listed([run('a')]);
    feed.events('/r.runs/a', 0, [train(1, 5), train(2, 4)]);
    await sleep(SETTLED_MS);
    feed.events('/r.runs/a', 2, [train(3, 3)]);
    feed.run(run('a'));
    await sleep(SETTLED_MS);
    assert.deepEqual(
      kinds(page),
      ['recipe', 'runs', 'curves', 'curves'],
      'a run that did not change is not news',
    );
    assert.deepEqual(column(shown(page).curves.get('/r.runs/a')?.get('loss'), 3), [5, 4, 3]);
    const last = page.at(-1);
    assert.ok(
      last?.type === 'curves' && last.curves.every(({ from }) => from === 2),
      'only what is new travels',
    );
  });

  test('takes what comes twice once, and begins again where a run went back', async () => {
    const { feed, page } = feedWithPage();
    feed.events('/a', 0, [train(1, 5), train(2, 4)]);
    feed.events('/a', 1, [train(2, 4), train(3, 3)]);
    await sleep(SETTLED_MS);
    assert.deepEqual(column(shown(page).curves.get('/a')?.get('loss'), 3), [5, 4, 3]);
    feed.events('/a', 0, [train(1, 5)]);
    await sleep(SETTLED_MS);
    assert.ok(kinds(page).includes('void'));
    assert.deepEqual(column(shown(page).curves.get('/a')?.get('loss'), 3), [5]);
    assert.equal(feed.state.events.get('/a'), 1);
  });

  test('tells a page that was hidden everything again, and nothing while it is hidden', async () => {
    const { feed, page, attach } = feedWithPage();
    feed.looked(LOOK, true);
    feed.listed([run('a'), run('b')]);
    feed.events('/r.runs/a', 0, [train(1, 5), { kind: 'note', message: 'slow' }]);
    feed.notice('the engine stopped');
    await sleep(SETTLED_MS);
    const before = shown(page);
    feed.detach();
    page.splice(0);
    feed.gone('/r.runs/b');
    feed.events('/r.runs/a', 2, [train(2, 4)]);
    await sleep(SETTLED_MS);
    assert.deepEqual(page, [], 'nobody listens');
    attach();
    await sleep(SETTLED_MS);
    const after = shown(page);
    assert.deepEqual([...before.runs.keys()], ['/r.runs/a', '/r.runs/b']);
    assert.deepEqual([...after.runs.keys()], ['/r.runs/a']);
    assert.deepEqual(column(after.curves.get('/r.runs/a')?.get('loss'), 3), [5, 4]);
    assert.deepEqual(after.notices, ['the engine stopped']);
    assert.deepEqual(after.notes.get('/r.runs/a'), [{ message: 'slow' }]);
    assert.equal(after.look, LOOK);
    assert.ok(after.complete);
  });

  test('splits what is too much for one message; it all arrives', async () => {
    const { feed, page } = feedWithPage();
    const names = Array.from({ length: 20 }, (_, i) => `/${i}`);
    for (const folder of names)
      feed.events(
        folder,
        0,
        Array.from({ length: 70 }, (_, i) => train(i + 1, i)),
      );
    await sleep(4 * SETTLED_MS);
    const sent = page.flatMap((message) => (message.type === 'curves' ? [message.curves] : []));
    assert.ok(sent.length >= 10, String(sent.length));
    const numbers = sent.map((parts) => parts.reduce((sum, { values }) => sum + values.length, 0));
    assert.ok(Math.max(...numbers) <= 600, numbers.join());
    const { curves } = shown(page);
    for (const folder of names) assert.equal(curves.get(folder)?.get('loss')?.length, 70 * POINT);
  });

  test('takes in a hundred thousand events of a run within a moment', async () => {
    const { feed, page } = feedWithPage();
    const events = Array.from({ length: 100_000 }, (_, i) => train(i, Math.sin(i), { learningRate: 0.1 }));
    const began = performance.now();
    for (let from = 0; from < events.length; from += 5000)
      feed.events('/a', from, events.slice(from, from + 5000));
    const took = performance.now() - began;
    await sleep(2 * SETTLED_MS);
    assert.equal(feed.state.events.get('/a'), 100_000);
    assert.ok(took < 2000, `${took} ms`);
    assert.ok((shown(page).curves.get('/a')?.get('loss')?.length ?? 0) <= MAX_POINTS * POINT);
  });

  test('tells layers of the one run that the page asks for', async () => {
    const { feed, page } = feedWithPage();
    feed.events('/a', 0, [utilization(1, 4)]);
    feed.events('/b', 0, [utilization(1, 5)]);
    await sleep(SETTLED_MS);
    assert.equal(kinds(page).includes('layers'), false);
    feed.wantLayers('/b');
    await sleep(SETTLED_MS);
    feed.events('/b', 1, [utilization(2, 6)]);
    feed.events('/a', 1, [utilization(2, 7)]);
    await sleep(SETTLED_MS);
    const layers = page.flatMap((message) => (message.type === 'layers' ? [message.layers] : []));
    assert.deepEqual(
      layers.map(({ folder, utilized }) => [folder, [...utilized]]),
      [
        ['/b', [5]],
        ['/b', [5, 6]],
      ],
    );
  });

  test('says that runs cannot be followed, until they can', async () => {
    const { feed, page } = feedWithPage();
    feed.listed([run('a')]);
    feed.failed('no engine');
    await sleep(SETTLED_MS);
    assert.equal(shown(page).failure, 'no engine');
    assert.equal(feed.state.status, 'failed');
    feed.run(run('a', { status: { step: 41 } }));
    await sleep(SETTLED_MS);
    assert.equal(shown(page).failure, undefined);
    assert.equal(feed.state.status, 'following');
  });

  test('forgets runs that are not listed any more', async () => {
    const { feed, page } = feedWithPage();
    feed.listed([run('a'), run('b')]);
    await sleep(SETTLED_MS);
    feed.listed([run('b')]);
    await sleep(SETTLED_MS);
    assert.deepEqual([...shown(page).runs.keys()], ['/r.runs/b']);
  });
});

interface Watch {
  readonly path: string;
  readonly listener: JobListener;
  readonly signal: AbortSignal;
  readonly fail: (error: Error) => void;
}

/** An engine whose watches the test speaks for; cancelling one ends it as the real one does. */
function scriptedEngine(listed: () => readonly RunSummary[] = () => []) {
  const watches: Watch[] = [];
  const asked: string[] = [];
  let last = 0;
  const engine = {
    newJob: () => ++last,
    request: (method: string, { path }: { path: string }) => {
      asked.push(`${method} ${path}`);
      return Promise.resolve(listed());
    },
    run: (_: string, { path }: { path: string }, listener: JobListener, signal: AbortSignal) =>
      new Promise((_resolve, reject) => {
        watches.push({ path, listener, signal, fail: reject });
        signal.addEventListener('abort', () => {
          reject(new EngineError('cancelled', true));
        });
      }),
    // Only `runs` and `watchRuns` are asked of it here.
  } as unknown as WatchingEngine;
  return { engine, watches, asked };
}

const notice = (reason: string): string => `stopped: ${reason}`;

const live =
  (...all: RunSummary[]) =>
  (): readonly RunSummary[] =>
    all;

describe('the runs of a recipe', () => {
  test('are listed, then followed; changes that come together are one', async () => {
    const { engine, watches } = scriptedEngine(live(run('a')));
    const runs = new RecipeRuns('/r', engine, notice);
    let changes = 0;
    runs.onChange(() => changes++);
    runs.watch();
    runs.watch();
    await sleep(20);
    assert.equal(watches.length, 1, 'followed once');
    assert.equal(changes, 1);
    watches[0]?.listener.run?.({ job: 1, run: run('b') });
    watches[0]?.listener.run?.({ job: 1, run: run('a', { status: { state: 'done' } }) });
    await sleep(20);
    assert.equal(changes, 2);
    assert.deepEqual(
      runs.live.map(({ record }) => record.id),
      ['b'],
    );
    watches[0]?.listener.runGone?.({ job: 1, folder: '/r.runs/b' });
    await sleep(20);
    assert.equal(runs.runs.length, 1);
    runs.dispose();
    assert.ok(watches[0]?.signal.aborted);
  });

  test('go on being followed in a new engine, which tells all again; the page is told why', async () => {
    const { engine, watches, asked } = scriptedEngine(live(run('a')));
    const runs = new RecipeRuns('/r', engine, notice);
    runs.watch();
    await sleep(20);
    const [watch] = watches;
    watch?.listener.runEvents?.({ job: 1, folder: '/r.runs/a', from: 0, events: [train(1, 5), train(2, 4)] });
    watch?.listener.restarted('SIGKILL');
    watch?.listener.runEvents?.({
      job: 1,
      folder: '/r.runs/a',
      from: 0,
      events: [train(1, 5), train(2, 4), train(3, 3)],
    });
    await sleep(20);
    assert.deepEqual(runs.feed.state.notices, ['stopped: SIGKILL']);
    assert.equal(runs.feed.state.events.get('/r.runs/a'), 3);
    assert.deepEqual(asked, ['runs /r', 'runs /r'], 'what was deleted meanwhile is seen');
    runs.dispose();
  });

  test('are tried again when they cannot be followed, at once when a person asks', async () => {
    const { engine, watches } = scriptedEngine();
    const runs = new RecipeRuns('/r', engine, notice);
    runs.watch();
    await sleep(20);
    watches[0]?.fail(new EngineError('the engine stopped 2 times', false));
    await sleep(20);
    assert.equal(runs.feed.state.message, 'the engine stopped 2 times');
    assert.equal(watches.length, 1);
    runs.watchNow();
    await sleep(20);
    assert.equal(watches.length, 2);
    assert.equal(runs.feed.state.status, 'following');
    await sleep(1200);
    assert.equal(watches.length, 2, 'the try that waited is not made as well');
    watches[1]?.fail(new EngineError('again', false));
    await sleep(1300);
    assert.equal(watches.length, 3, 'by itself, after a second');
    runs.dispose();
  });
});

function memory(kept?: unknown) {
  const stored = new Map<string, unknown>([['training.recipes', kept]]);
  return {
    stored,
    keys: () => [...stored.keys()],
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- as VS Code declares it
    get: <T>(key: string): T | undefined => stored.get(key) as T | undefined,
    update: (key: string, value: unknown) => Promise.resolve(void stored.set(key, value)),
  };
}

describe('the runs of a window', () => {
  test('are followed while somebody looks or something goes on, and no longer', async () => {
    const { engine, watches } = scriptedEngine();
    const hub = new RecipeRunsHub(engine, memory(), notice);
    const panel = hub.hold('/r');
    const task = hub.hold('/r');
    await sleep(20);
    assert.equal(watches.length, 1);
    watches[0]?.listener.run?.({ job: 1, run: run('a') });
    await sleep(20);
    panel.letGo();
    panel.letGo();
    assert.equal(hub.of('/r'), task.runs, 'the other still looks');
    task.letGo();
    assert.ok(hub.of('/r') !== undefined, 'a run goes on');
    watches[0]?.listener.run?.({ job: 1, run: run('a', { status: { state: 'done' } }) });
    await sleep(20);
    assert.equal(hub.of('/r'), undefined);
    assert.ok(watches[0]?.signal.aborted);
    hub.dispose();
  });

  test('are found again by the next window: those remembered and those beside recipes, where any goes on', async () => {
    const kept = memory(['/old', '/idle']);
    const byPath: Record<string, RunSummary[]> = {
      '/old': [run('a')],
      '/idle': [run('b', { status: { state: 'done' } })],
      '/found': [run('c', { status: { state: 'queued' } })],
    };
    const { engine, watches } = scriptedEngine();
    const asking = {
      ...engine,
      request: (_: string, { path }: { path: string }) =>
        path in byPath ? Promise.resolve(byPath[path] ?? []) : Promise.reject(new Error('gone')),
    } as unknown as WatchingEngine;
    const hub = new RecipeRunsHub(asking, kept, notice);
    const seen: string[] = [];
    hub.onChange(({ path }) => seen.push(path));
    await hub.findLive(['/found', '/gone', '/old']);
    await sleep(20);
    assert.deepEqual(watches.map(({ path }) => path).sort(), ['/found', '/old']);
    assert.deepEqual([...new Set(seen)].sort(), ['/found', '/old']);
    hub.dispose();
  });

  test('remember what was trained, the latest first', () => {
    const kept = memory(['/b', '/a', 7]);
    const hub = new RecipeRunsHub(scriptedEngine().engine, kept, notice);
    hub.started('/a', [run('a')]);
    assert.deepEqual(kept.stored.get('training.recipes'), ['/a', '/b']);
    hub.dispose();
  });
});

describe('a terminal’s words', () => {
  const never = (): boolean => false;
  const plainly = (lines: readonly string[]): string[] => lines.map(plain);

  test('say how a run is, how far from time to time, and what came of it', () => {
    const narrator = new RunNarrator();
    const queued = run('a', { status: { state: 'queued' }, detail: 'PENDING (Resources)', launch: 'none' });
    assert.deepEqual(plainly(narrator.tell([queued], 0, never)), ['Queued: PENDING (Resources)']);
    const backend = { name: 'wasm', about: 'SIMD' };
    const begun = run('a', { status: { step: 1, backend } });
    assert.deepEqual(plainly(narrator.tell([begun], 10, never)), ['Running on n1, wasm (SIMD)']);
    const further = run('a', { status: { step: 40, loss: 0.5, metric: 'psnr', value: 20, secondsLeft: 3 } });
    assert.deepEqual(narrator.tell([further], 20, never), [], 'not all the time');
    assert.deepEqual(plainly(narrator.tell([further], 6000, never)), [
      'step 40 of 100 · loss 0.5 · psnr 20.00 dB · 3 s left',
    ]);
    assert.deepEqual(narrator.tell([further], 20_000, never), [], 'nothing new');
    const status = {
      state: 'done',
      metric: 'psnr',
      value: 21,
      best: { value: 22, step: 90 },
      seconds: 12,
    } as const;
    assert.deepEqual(plainly(narrator.tell([run('a', { status })], 20_001, never)), [
      'Done: psnr 21.00 dB, best 22.00 dB at step 90, 12 s',
    ]);
  });

  test('name runs where there are several, and leave progress to a log that has it', () => {
    const narrator = new RunNarrator();
    const two = (step: number): RunSummary[] => [
      run('a', { status: { step } }),
      run('b\u001b[2J', { status: { step } }),
    ];
    assert.deepEqual(narrator.tell(two(1), 0, never), ['a: Running on n1', 'b\\u{001b}[2J: Running on n1']);
    const told = narrator.tell(two(50), 10_000, (folder) => folder === '/r.runs/a');
    assert.deepEqual(told.length, 1);
    assert.match(told[0] ?? '', /^b/);
    const failed = run('a', { status: { state: 'failed', message: 'no such file\u0007' } });
    assert.deepEqual(narrator.tell([failed], 10_001, never), ['Failed: no such file\\u{0007}: 10\u00a0s']);
  });

  test('bring a log as whole lines, and of too long a one only the end', () => {
    const log = new LogLines('a');
    log.add('one\r\ntw');
    assert.deepEqual(log.take(), ['a: one']);
    log.add('o\n\nthree');
    assert.deepEqual(log.take(), ['a: two', 'a: ']);
    assert.deepEqual(log.take(), []);
    assert.deepEqual(log.take(true), ['a: three']);
    const long = new LogLines('');
    for (let i = 0; i < 100_000; i++) long.add(`line ${i}\n`);
    const lines = long.take();
    assert.ok(lines.length < 40_000);
    assert.deepEqual([lines[0], lines.at(-1)], ['…', 'line 99999']);
    assert.match(lines[1] ?? '', /^line \d+$/);
  });
});
