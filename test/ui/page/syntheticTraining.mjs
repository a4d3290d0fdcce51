// Runs of any number and length, made from formulas: no network is trained for them. Messages as the host sends them.

const START = Date.parse('2026-01-02T10:00:00Z');

/** Best value that a form gets to at a rank, as a share of a hundred. */
function ceiling(form, rank, seed) {
  const noise = ((seed * 37) % 10) / 10 - 0.45;
  if (form === 'dense') return 93 + noise;
  const loss = form.startsWith('sine') ? 22 : 41;
  return 93 - loss / (1 + rank) + noise;
}

/** @param {object} options of one run; `share` of its steps that are made */
export function syntheticRun({
  index = 0,
  form = 'sine',
  rank = 5,
  seed = 1,
  group = 'g1',
  state = 'done',
  share = 1,
  steps = 400,
  message,
  detail,
  label,
  choices = { form, rank, seed },
  launcher = 'here',
} = {}) {
  const value = (fraction) => 10 + (ceiling(form, rank, seed) - 10) * (1 - Math.exp(-5 * fraction));
  const step = Math.round(steps * share);
  const dense = 1_280_000;
  const total = form === 'dense' ? dense : 20_000 + 4_000 * rank;
  const words = form === 'dense' ? 'dense' : `${form}, k = ${rank}`;
  const began = state !== 'queued';
  return {
    folder: `/work/net.runs/${String(index).padStart(3, '0')}-${form}-${rank}-${seed}`,
    record: {
      ...{ schema: 'rankscope/run@1', tool: { name: 'rankscope', version: '0' } },
      ...{ id: `run${String(index).padStart(4, '0')}`, group, choices, form, seed },
      label: label ?? `${words}, seed ${seed}`,
      ...{ recipe: '/work/net.rankscope.json', launcher },
      ...(form !== 'dense' && { rank }),
      createdAt: new Date(START).toISOString(),
    },
    ...(began && {
      launch: {
        ...{ launcher, attempt: 1, startedAt: new Date(START).toISOString(), host: 'node1' },
        command: ['node', 'dist/trainer.js', `/work/net.runs/${index}`],
      },
    }),
    status: {
      ...{ state, attempt: 1, updatedAt: new Date(START).toISOString(), seconds: share * 83.2 },
      ...(began && { step, steps, metric: 'accuracy', higherIsBetter: true, value: value(share) }),
      ...(began && { best: { value: value(share) + 0.1, step }, loss: 2.3 * Math.exp(-4 * share) + 0.1 }),
      ...(state === 'running' && { secondsLeft: (1 - share) * 83.2 }),
      ...(message !== undefined && { message }),
      parameters: { trained: total, total, dense },
      ...(began && { backend: { name: 'wasm', about: 'WebAssembly, 2 threads' } }),
    },
    ...(detail !== undefined && { detail }),
    files: { model: state === 'done', checkpoint: began, log: began },
  };
}

/** dense, low-rank and sine at some ranks, over some seeds. */
export function syntheticComparison({
  ranks = [5],
  seeds = [1, 2, 3],
  forms = ['dense', 'low-rank', 'sine'],
  ...more
} = {}) {
  const runs = [];
  for (const form of forms)
    for (const rank of form === 'dense' ? [ranks[0]] : ranks)
      for (const seed of seeds)
        runs.push(
          syntheticRun({ index: runs.length, form, rank, seed, choices: { form, rank, seed }, ...more }),
        );
  return runs;
}

/** Six numbers a point: step, epoch, seconds, mean, least, largest. */
function curve(points, steps, of) {
  const values = new Float64Array(points * 6);
  for (let i = 0; i < points; i++) {
    const fraction = (i + 1) / points;
    const y = of(fraction, i);
    values.set([steps * fraction, 10 * fraction, 83.2 * fraction, y, y * 0.98, y * 1.02], i * 6);
  }
  return values;
}

/** @param {number} points of each curve; the host never sends more than 1,024 */
export function curvesOf(run, points = 100) {
  const { folder, record, status } = run;
  if (status.step === undefined || status.step === 0) return [];
  const made = status.step / status.steps;
  const to = (of) =>
    curve(Math.max(1, Math.round(points * made)), status.step, (fraction, i) => of(fraction * made, i));
  const wiggle = (i) => 1 + 0.12 * Math.sin(i * 12.9898 + record.seed) * Math.cos(i * 78.233);
  const last = ceiling(record.form, record.rank ?? 1, record.seed);
  const part = (id, values) => ({ folder, id, from: 0, values: [...values] });
  const evaluations = Math.max(1, Math.round(20 * made));
  const seldom = (of) => curve(evaluations, status.step, (fraction) => of(fraction * made));
  return [
    part(
      'loss',
      to((fraction, i) => (2.3 * Math.exp(-4 * fraction) + 0.1) * wiggle(i)),
    ),
    part(
      'learningRate',
      to((fraction) => 1e-3 * (1 + Math.cos(Math.PI * fraction)) + 1e-6),
    ),
    part(
      'throughput',
      to((fraction, i) => 4100 * wiggle(i + 7)),
    ),
    part(
      'metric:accuracy',
      seldom((fraction) => 10 + (last - 10) * (1 - Math.exp(-5 * fraction))),
    ),
    part(
      'validationLoss',
      seldom((fraction) => 2.4 * Math.exp(-3.5 * fraction) + 0.2),
    ),
    part(
      'utilized',
      seldom((fraction) => 0.8 - 0.5 * fraction),
    ),
    part(
      'original',
      seldom((fraction) => 0.95 - 0.1 * fraction),
    ),
  ];
}

/** Layers that are used less and less, the later the sooner. */
export function layersOf(run, layers = 12, moments = 20, names = []) {
  const name = (i) => names[i] ?? `blocks.${Math.floor(i / 2)}.${i % 2 === 0 ? 'attention' : 'mlp'}.weight`;
  const grid = (of) => {
    const values = [];
    for (let t = 0; t < moments; t++)
      for (let i = 0; i < layers; i++) values.push(of(t / moments, i / layers));
    return values;
  };
  return {
    folder: run.folder,
    names: Array.from({ length: layers }, (_, i) => name(i)),
    maxRanks: Array.from({ length: layers }, () => 192),
    steps: Array.from({ length: moments }, (_, t) => Math.round((run.status.step * (t + 1)) / moments)),
    utilized: grid((time, depth) => 192 * (0.85 - 0.7 * time * (0.3 + depth))),
    ranks: grid((time) => 192 * (0.98 - 0.1 * time)),
  };
}

export const LOOK = {
  ...{ trains: true, measures: false, script: false, rank: 5, seeds: [1, 2, 3], learningRate: 0.001 },
  forms: ['dense', 'low-rank', 'sine'],
};

/** Everything that a host tells a page of some runs. */
export function trainingMessages(runs, { points, layers, look = LOOK, trusted = true } = {}) {
  const first = runs.find(({ status }) => status.step !== undefined);
  return [
    { type: 'recipe', look, trusted },
    { type: 'runs', runs, complete: true },
    ...runs.map((run) => ({ type: 'curves', curves: curvesOf(run, points) })),
    ...(first === undefined ? [] : [{ type: 'layers', layers: layersOf(first, layers) }]),
  ];
}
