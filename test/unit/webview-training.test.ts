/** The page of a recipe's runs: its state, its table, what it compares and what it says. Messages in, words and numbers out. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { COLUMNS, firstDirection, sortAfter, sortedRuns } from '../../webview/training/model/columns';
import { comparisonOf } from '../../webview/training/model/comparison';
import {
  layersRun,
  lastGroup,
  runsOf,
  selectedAfter,
  shownOf,
  shownRuns,
} from '../../webview/training/model/shown';
import {
  isResumable,
  NOTHING_YET,
  receive,
  withoutNotice,
  type TrainingState,
} from '../../webview/training/model/state';
import {
  FIELD_RULES,
  formFor,
  parseList,
  readForm,
  type SweepForm,
} from '../../webview/training/model/sweep';
import { variantsOf } from '../../webview/training/model/variants';
import {
  INITIAL_VIEW,
  restoredView,
  storedView,
  type ViewState,
} from '../../webview/training/model/viewState';
import {
  commandText,
  curveText,
  differenceText,
  launcherText,
  metricText,
  noteTexts,
  progressText,
  stateText,
  statesText,
} from '../../webview/training/model/words';
import type { RecipeLook, RunSummary, ToTraining } from '../../webview/training/protocol';
import { chosen, curve, plain, run } from './trainingRuns';

type Told = Exclude<ToTraining, { type: 'reply' }>;

const after = (...messages: Told[]): TrainingState => messages.reduce(receive, NOTHING_YET);

const runs = (...all: RunSummary[]): Told => ({ type: 'runs', runs: all, complete: true });

const told = (...curves: ReturnType<typeof curve>[]): Told => ({ type: 'curves', curves });

const valuesOf = (state: TrainingState, folder: string): number[] =>
  Array.from(state.curves.get(folder)?.get('loss') ?? []).filter((_, i) => i % 6 === 3);

describe('the state of the page of runs', () => {
  test('takes curves a piece at a time: points told again replace those from there on', () => {
    const first = after(
      told(
        curve('a', 'loss', [
          [1, 5],
          [2, 4],
          [3, 3],
        ]),
      ),
    );
    const more = receive(
      first,
      told(
        curve(
          'a',
          'loss',
          [
            [3, 2.5],
            [4, 2],
          ],
          2,
        ),
      ),
    );
    assert.deepEqual(valuesOf(more, 'a'), [5, 4, 2.5, 2]);
    assert.deepEqual(valuesOf(first, 'a'), [5, 4, 3], 'the older state is whole');
    const halved = receive(
      more,
      told(
        curve('a', 'loss', [
          [2, 4.5],
          [4, 2.25],
        ]),
      ),
    );
    assert.deepEqual(valuesOf(halved, 'a'), [4.5, 2.25]);
  });

  test('forgets what is void, and runs that are gone with all that they told', () => {
    const state = after(
      runs(run('a'), run('b')),
      told(curve('/r.runs/a', 'loss', [[1, 5]]), curve('/r.runs/b', 'loss', [[1, 6]])),
      { type: 'notes', folder: '/r.runs/a', notes: [{ message: 'slow' }] },
    );
    const voided = receive(state, { type: 'void', folders: ['/r.runs/a'] });
    assert.deepEqual([voided.runs.size, voided.curves.size, voided.notes.size], [2, 1, 0]);
    const gone = receive(state, { type: 'gone', folders: ['/r.runs/a'] });
    assert.deepEqual([gone.runs.size, gone.curves.size, gone.notes.size], [1, 1, 0]);
  });

  test('keeps a failure until runs are told of again, and the newest notices', () => {
    const failed = after(runs(run('a')), { type: 'failed', message: 'the engine stopped' });
    assert.equal(failed.failure, 'the engine stopped');
    assert.equal(receive(failed, runs()).failure, undefined);
    const notices = ['1', '2', '3', '4'].map((message): Told => ({ type: 'notice', message }));
    const noticed = after(...notices);
    assert.deepEqual(noticed.notices, ['2', '3', '4']);
    assert.deepEqual(withoutNotice(noticed, '3').notices, ['2', '4']);
  });

  test('says which runs go on when they are resumed', () => {
    const states = [
      'queued',
      'running',
      'stopping',
      'stopped',
      'done',
      'failed',
      'diverged',
      'lost',
    ] as const;
    const resumable = states.filter((state) => isResumable(run('a', { status: { state } })));
    assert.deepEqual(resumable, ['stopped', 'failed', 'lost']);
  });
});

describe('the runs on show', () => {
  const old = chosen('sine', 1, 1, {}, 'older');
  const late = { record: { createdAt: '2026-02-01T00:00:00Z', group: 'newer' } };
  const state = after(runs(old, run('b10', late), run('b9', late)));
  const all = runsOf(state);

  test('come newest first; those started together by name, numbers as numbers', () => {
    assert.deepEqual(
      all.map(({ record }) => record.id),
      ['b9', 'b10', old.record.id],
    );
  });

  test('are those started last, all, or the ones that were chosen', () => {
    assert.deepEqual(lastGroup(all).length, 2);
    assert.equal(shownRuns(all, 'last', []).length, 2);
    assert.equal(shownRuns(all, 'all', []).length, 3);
    assert.deepEqual(shownRuns(all, 'last', [old.folder]), [old]);
    assert.equal(shownRuns(all, 'last', ['/gone']).length, 2, 'runs that are gone count for nothing');
  });

  test('are selected as in lists everywhere; a second click takes the only one back', () => {
    const visible = ['a', 'b', 'c', 'd'];
    assert.deepEqual(selectedAfter([], 'b', 'only', visible), ['b']);
    assert.deepEqual(selectedAfter(['b'], 'b', 'only', visible), []);
    assert.deepEqual(selectedAfter(['b', 'c'], 'b', 'only', visible), ['b']);
    assert.deepEqual(selectedAfter(['b'], 'd', 'toggle', visible), ['b', 'd']);
    assert.deepEqual(selectedAfter(['b'], 'd', 'range', visible), ['b', 'c', 'd']);
  });

  test('are made once for each state', () => {
    const selected: string[] = [];
    const once = shownOf(state, 'last', selected, undefined);
    assert.equal(shownOf({ ...state, notices: ['x'] }, 'last', selected, once), once);
    assert.equal(shownOf(state, 'all', selected, once).shown.length, 3);
  });

  test('show the layers of the one that was asked for, otherwise of the first that told any', () => {
    const telling = receive(
      state,
      told(curve('/r.runs/b10', 'utilized', [[1, 0.5]]), curve(old.folder, 'utilized', [[1, 0.5]])),
    );
    assert.equal(layersRun(telling, all, undefined)?.folder, '/r.runs/b10');
    assert.equal(layersRun(telling, all, old.folder)?.folder, old.folder);
    assert.equal(layersRun(state, all, old.folder), undefined);
  });
});

describe('variants', () => {
  const sweep = [1, 2].flatMap((seed) => [
    chosen('sine', 5, seed),
    chosen('low-rank', 5, seed),
    chosen('dense', undefined, seed),
    chosen('sine', 20, seed),
  ]);

  test('take seeds together, in the order of forms and ranks', () => {
    const variants = variantsOf(sweep);
    assert.deepEqual(
      variants.map(({ label, runs: seeds }) => [label, seeds.map(({ record }) => record.seed)]),
      [
        ['dense', [1, 2]],
        ['low-rank, k = 5', [1, 2]],
        ['sine-low-rank, k = 5', [1, 2]],
        ['sine-low-rank, k = 20', [1, 2]],
      ],
    );
  });

  test('have the colour of their form, whatever else is on show; dashes tell ranks apart', () => {
    const styles = (all: readonly RunSummary[]) =>
      new Map(variantsOf(all).map(({ label, style }) => [label, style]));
    const whole = styles(sweep);
    const some = styles(sweep.filter(({ record }) => record.form !== 'low-rank'));
    assert.deepEqual(whole.get('dense'), some.get('dense'));
    assert.equal(whole.get('sine-low-rank, k = 5')?.series, whole.get('sine-low-rank, k = 20')?.series);
    assert.notEqual(whole.get('sine-low-rank, k = 5')?.dash, whole.get('sine-low-rank, k = 20')?.dash);
    assert.equal(new Set([...whole.values()].map(({ series }) => series)).size, 3);
  });

  test('of one form have a colour each', () => {
    const styles = variantsOf([1, 2, 5, 10].map((rank) => chosen('sine', rank, 1))).map(({ style }) => style);
    assert.equal(new Set(styles.map(({ series }) => series)).size, 4);
  });

  test('keep runs apart that were started apart: the recipe may have been another', () => {
    const twice = [run('a'), run('b')];
    assert.equal(variantsOf(twice).length, 2);
    const other = chosen('sine', 5, 1, {}, 'other');
    assert.equal(variantsOf([...sweep, other]).length, 5);
  });

  test('are called what was chosen, and never play tricks', () => {
    const hostile = run('x', { record: { choices: { 'a\u202eb': 'c\u0000', learningRate: 0.01 } } });
    const [variant] = variantsOf([hostile]);
    assert.equal(variant?.label, 'a\\u{202e}b = c\\u{0000}, lr = 0.01');
  });
});

describe('the comparison', () => {
  const result = (value: number, total = 40, last = value - 1): Partial<RunSummary['status']> => ({
    ...{ state: 'done', metric: 'accuracy', higherIsBetter: true, value: last },
    best: { value, step: 90 },
    parameters: { trained: total, total, dense: 1000 },
  });
  const all = [
    chosen('dense', undefined, 1, result(90, 1000)),
    chosen('low-rank', 5, 1, result(70)),
    chosen('low-rank', 5, 2, result(72)),
    chosen('sine', 5, 1, result(80)),
    chosen('sine', 5, 2, result(84)),
    chosen('sine', 1, 1, {}),
  ];

  test('puts full rank first, then equal ranks together, with what they cost', () => {
    const { groups, metric } = comparisonOf(variantsOf(all), 'best');
    assert.equal(metric, 'accuracy');
    assert.deepEqual(
      groups.map(({ rank, rows }) => [rank, rows.map(({ label }) => label)]),
      [
        [undefined, ['dense']],
        [1, ['sine-low-rank, k = 1']],
        [5, ['low-rank, k = 5', 'sine-low-rank, k = 5']],
      ],
    );
    const sine = groups[2]?.rows[1];
    assert.deepEqual([sine?.mean, sine?.least, sine?.largest, sine?.seeds], [82, 80, 84, 2]);
    assert.deepEqual([sine?.rate, sine?.parameters], [0.04, 40]);
    assert.equal(sine?.share, 82 / 90);
  });

  test('says by how much sine is ahead at the same rank, and nothing where one is missing', () => {
    const { groups } = comparisonOf(variantsOf(all), 'best');
    assert.equal(
      plain(groups[2]?.verdict ?? ''),
      'sine-low-rank against low-rank: +11.00 points, mean of 2 seeds',
    );
    assert.equal(groups[1]?.verdict, undefined);
    const last = comparisonOf(variantsOf(all), 'last');
    assert.equal(last.groups[2]?.rows[1]?.mean, 81);
  });

  test('waits for runs to be done before it counts them, if any is', () => {
    const begun = { ...result(12), state: 'running' as const };
    const pair = (first: Partial<RunSummary['status']>) =>
      comparisonOf(variantsOf([chosen('sine', 5, 1, first), chosen('sine', 5, 2, begun)]), 'last').groups[0]
        ?.rows[0];
    assert.deepEqual([pair(result(84))?.mean, pair(result(84))?.seeds], [83, 1]);
    assert.deepEqual([pair(begun)?.mean, pair(begun)?.seeds], [11, 2]);
  });

  test('knows when lower is better, and leaves runs of another metric out', () => {
    const lower = { metric: 'perplexity', higherIsBetter: false };
    const pair = [
      chosen('low-rank', 5, 1, { ...lower, best: { value: 20, step: 1 } }),
      chosen('sine', 5, 1, { ...lower, best: { value: 15, step: 1 } }),
      chosen('sine', 5, 2, { metric: 'accuracy', best: { value: 99, step: 1 } }),
    ];
    const { groups, higherIsBetter } = comparisonOf(variantsOf(pair), 'best');
    assert.equal(higherIsBetter, false);
    assert.equal(groups[0]?.rows[1]?.mean, 15);
    assert.equal(groups[0].verdict, 'sine-low-rank against low-rank: −5 (lower is better)');
  });
});

describe('the table of runs', () => {
  const best = (value: number): Partial<RunSummary['status']> => ({
    metric: 'accuracy',
    best: { value, step: 1 },
  });
  const all = [
    run('a', { status: { ...best(70), state: 'done' } }),
    run('b', { status: { ...best(90), state: 'running' } }),
    run('c', { status: { state: 'queued', seconds: 0 } }),
  ];
  const names = (sorted: readonly RunSummary[]): string => sorted.map(({ record }) => record.id).join('');

  test('sorts by what a column shows; what is not known comes last', () => {
    assert.equal(names(sortedRuns(all, { column: 'best', direction: firstDirection('best') })), 'bac');
    assert.equal(names(sortedRuns(all, { column: 'best', direction: 'ascending' })), 'abc');
    assert.equal(names(sortedRuns(all, { column: 'state', direction: 'ascending' })), 'bca');
  });

  test('turns round by a second click on the same head, and ignores what is no column', () => {
    const first = sortAfter({ column: 'label', direction: 'ascending' }, 'best');
    assert.deepEqual(first, { column: 'best', direction: 'descending' });
    assert.deepEqual(sortAfter(first, 'best'), { column: 'best', direction: 'ascending' });
    assert.equal(sortAfter(first, 'no'), first);
  });

  test('shows numbers in their units, and why a run failed', () => {
    const failed = run('f', {
      ...{ detail: 'NODE_FAIL', launch: { launcher: 'slurm', jobId: '12_3' } },
      status: {
        ...{
          state: 'failed',
          message: 'out of memory\u202e',
          metric: 'psnr',
          value: 27.318,
          loss: 0.00123456,
        },
        ...{ seconds: 83, parameters: { trained: 10, total: 250, dense: 1000 } },
      },
    });
    const shown = Object.fromEntries(COLUMNS.map(({ id, text }) => [id, plain(text(failed) ?? '·')]));
    assert.deepEqual(shown, {
      ...{
        state: 'Failed 40 %',
        label: 'f',
        seed: '1',
        best: '·',
        last: '27.32 dB',
        loss: '0.001235',
        step: '40',
      },
      ...{ parameters: '250', rate: '25 %', seconds: '1 min 23 s', launcher: 'Slurm 12_3' },
      ...{ started: shown.started, reason: 'out of memory\\u{202e} · NODE_FAIL' },
    });
  });
});

describe('the words of runs', () => {
  test('count states, and of one run say only how it is', () => {
    assert.equal(statesText([run('a')]), 'running');
    const many = [
      run('a'),
      run('b', { status: { state: 'failed' } }),
      run('c', { status: { state: 'done' } }),
    ];
    assert.equal(plain(statesText(many)), '1 running, 1 done, 1 failed');
  });

  test('say how far runs are and when the last ends', () => {
    assert.equal(
      plain(progressText([run('a', { status: { secondsLeft: 12 } })])),
      'step 40 of 100 · 12 s left',
    );
    const two = [run('a', { status: { secondsLeft: 12 } }), run('b', { status: { secondsLeft: 50 } })];
    assert.equal(plain(progressText(two)), '0 of 2 runs over · 50 s left');
    const queued = [...two, run('c', { status: { state: 'queued' } })];
    assert.equal(plain(progressText(queued)), '0 of 3 runs over', 'nobody knows when a queue ends');
  });

  test('name a script’s steps where their number is not told', () => {
    const { steps: _, ...status } = run('a').status;
    const script = { ...run('a'), status };
    assert.equal(plain(progressText([script])), 'step 40');
    assert.equal(stateText(script), 'Running');
    assert.equal(plain(stateText(run('a'))), 'Running 40 %');
  });

  test('have units', () => {
    assert.deepEqual(
      [metricText('iou', 91.625), metricText('perplexity', 12.3456), metricText('f1', 0.5)].map(plain),
      ['91.63 %', '12.35', '0.5'],
    );
    assert.deepEqual(
      [differenceText('accuracy', -1.234), differenceText('psnr', 2), differenceText('f1', 0.25)].map(plain),
      ['−1.23 points', '+2.00 dB', '+0.25'],
    );
    assert.deepEqual(
      [curveText('utilized', 0.345), curveText('throughput', 4123), curveText('metric:accuracy', 9)].map(
        plain,
      ),
      ['34.5 %', '4,123/s', '9.00 %'],
    );
  });

  test('repeat no remark, and leave older ones to the log', () => {
    const note = (message: string, step?: number) => ({ message, ...(step !== undefined && { step }) });
    assert.deepEqual(noteTexts([note('a'), note('b', 1200), note('a')]), ['a', 'step 1,200: b']);
    assert.deepEqual(noteTexts(['1', '2', '3', '4'].map((text) => note(text))), ['2', '3', '4']);
  });

  test('give commands as a shell takes them', () => {
    assert.equal(commandText(['node', '/a b/t.js', "it's", '--x=1']), `node '/a b/t.js' 'it'\\''s' --x=1`);
    assert.equal(launcherText(run('a')), 'this machine');
  });
});

describe('the form of a new comparison', () => {
  const form = (changed: Partial<SweepForm> = {}): SweepForm => ({
    ...{ forms: ['dense', 'sine'], rank: '1, 2 5', omega: '', seed: '1-3', learningRate: '' },
    ...changed,
  });

  test('reads lists of numbers, with ranges, each value once', () => {
    const values = (text: string, field: 'rank' | 'learningRate' = 'rank'): readonly number[] | string => {
      const list = parseList(text, FIELD_RULES[field]);
      return list.kind === 'values' ? list.values : list.problem;
    };
    assert.deepEqual(values('1, 2 5; 5'), [1, 2, 5]);
    assert.deepEqual(values('3-6'), [3, 4, 5, 6]);
    assert.deepEqual(values('1e-3, .01', 'learningRate'), [0.001, 0.01]);
    assert.equal(values('1, x'), '“x” is no whole number');
    assert.equal(values('1.5'), '“1.5” is no whole number');
    assert.equal(values('0'), '0 is not between 1 and 65536');
    assert.equal(values('6-3'), '“6-3” is no whole number');
    assert.equal(plain(String(values('1-100000'))), 'more than 64 values');
    assert.equal(values('0x10'), '“0x10” is no whole number');
  });

  test('means a sweep; empty fields are as the recipe has them', () => {
    assert.deepEqual(readForm(form()).sweep, { form: ['dense', 'sine'], rank: [1, 2, 5], seed: [1, 2, 3] });
    assert.deepEqual(readForm(form({ forms: [], rank: '' })).sweep, { seed: [1, 2, 3] });
  });

  test('says what is wrong, where it is', () => {
    assert.deepEqual(readForm(form({ rank: '' })), { problems: { rank: 'Forms of low rank need a rank' } });
    assert.deepEqual(Object.keys(readForm(form({ forms: [], rank: '', seed: '' })).problems), ['forms']);
    assert.deepEqual(Object.keys(readForm(form({ omega: '-1', seed: 'x' })).problems), ['omega', 'seed']);
    assert.equal(readForm(form({ forms: ['dense'], rank: '' })).sweep?.rank, undefined);
  });

  test('begins with what the recipe has', () => {
    const look: RecipeLook = {
      ...{ trains: true, measures: false, script: false, rank: 8, seeds: [1, 2] },
      forms: ['lora', 'sine-lora'],
    };
    assert.deepEqual(formFor(look), {
      ...{ forms: ['lora', 'sine-lora'], rank: '8', omega: '', seed: '1, 2', learningRate: '' },
    });
  });
});

describe('the stored view', () => {
  test('comes back as it was', () => {
    const view: ViewState = {
      ...INITIAL_VIEW,
      ...{ scope: 'all', selected: ['/a'], quantity: 'loss', x: 'epoch', log: true, hidden: ['k'] },
      ...{ statistic: 'last', layersOf: '/a', plotAs: 'table', comparing: true, pageScroll: 12 },
      sort: { column: 'best', direction: 'ascending' },
      form: { forms: ['sine'], rank: '1', omega: '', seed: '2', learningRate: '' },
    };
    assert.deepEqual(restoredView(JSON.parse(JSON.stringify(storedView(view)))), view);
  });

  test('is checked field by field; another version’s is not read', () => {
    assert.deepEqual(restoredView(undefined), INITIAL_VIEW);
    assert.deepEqual(restoredView({ ...storedView(INITIAL_VIEW), version: 99 }), INITIAL_VIEW);
    const damaged = {
      ...storedView(INITIAL_VIEW),
      ...{ sort: { column: 'no', direction: 7 }, x: 'year', selected: [1, '/a', null], form: { forms: 'x' } },
      ...{ pageScroll: -4, quantity: 3 },
    };
    assert.deepEqual(restoredView(damaged), {
      ...INITIAL_VIEW,
      selected: ['/a'],
      form: { forms: [], rank: '', omega: '', seed: '', learningRate: '' },
    });
  });
});
