// Measurements of any size, made from searches with known outcomes: no network is run for them.

/** Probes of a binary search for `chosen` among `n`, as the search makes them. */
function probesOf(side, chosen, n, threshold, from) {
  const probes = [];
  let [low, high] = [1, n];
  while (low < high) {
    const k = Math.floor((low + high) / 2);
    const passed = k >= chosen;
    const value = passed ? threshold + 0.02 * (k - chosen) ** 0.5 : threshold - 8 * (1 - k / chosen) - 0.1;
    probes.push({ pass: from + probes.length, side, k, value: Math.max(10, value), threshold, passed });
    if (passed) high = k;
    else low = k + 1;
  }
  return probes;
}

/** Shares of energy that fall off, summing to 1. */
function energies(n, fall) {
  const values = Array.from({ length: n }, (_, i) => Math.exp((-fall * i) / n));
  const sum = values.reduce((total, value) => total + value, 0);
  return values.map((value) => value / sum);
}

/** @param {number} count of layers @param {{ names?: string[] }} options */
export function syntheticMeasurement(count, { names = [] } = {}) {
  let pass = 0;
  const before = 91.63;
  // Tolerances add up: with hundreds of layers a smaller one.
  const delta = count > 50 ? 0.002 : 0.1;
  const layers = Array.from({ length: count }, (_, i) => {
    const m = [16, 32, 64][Math.floor((3 * i) / count)];
    const n = m * 9;
    const name = names[i] ?? `layer${1 + Math.floor((3 * i) / count)}.${i}.conv1.weight`;
    const kT = Math.max(2, Math.round(m * (0.2 + ((i * 37) % 80) / 100)));
    const kS = Math.max(kT, Math.round(n * (0.15 + ((i * 13) % 40) / 100)));
    const threshold = (side) => before - delta * (2 * i + (side === 'input' ? 1 : 2));
    const probes = probesOf('input', kS, n, threshold('input'), pass);
    probes.push(...probesOf('output', kT, m, threshold('output'), pass + probes.length));
    pass += probes.length;
    const utilizedRank = Math.min(kT, m);
    const decomposable = utilizedRank * (m + n) < m * n;
    const parametersAfter = decomposable ? utilizedRank * (m + n) : m * n;
    return {
      ...{ name, kind: 'conv', shape: [m, n], maxRank: m, rank: m - (i % 2), kS, kT },
      ...{ energyS: 0.995, energyT: 0.992, utilizedRank, utilization: utilizedRank / m, decomposable },
      error: { measured: 0.004 + i / 10_000, bound: 0.02 },
      ...{ parametersBefore: m * n, parametersAfter },
      ...{ flopsBefore: 2048 * m * n, flopsAfter: 2048 * parametersAfter },
      ...{ valueAfter: threshold('output') + 0.01, probes },
      inputEnergies: energies(n, 12),
      outputEnergies: energies(m, 7),
    };
  });
  const mean = (of) => layers.reduce((sum, layer) => sum + of(layer), 0) / count;
  const sum = (of) => layers.reduce((total, layer) => total + of(layer), 0);
  const network = {
    ...{ host: 'python', runtime: 'PyTorch 2.4, cpu', metric: 'accuracy', gramSamples: 2000 },
    ...{ validationSamples: 932, parameters: sum(({ parametersBefore }) => parametersBefore) + 1500 },
    ...{ identity: 'a0', notes: [] },
  };
  const backend = { name: 'wasm', build: 'wasm relaxed-simd 1' };
  const document = {
    schema: 'rankscope/utilization@1',
    tool: { name: 'rankscope', version: '0.0.0' },
    ...{ backend, network, startedAt: '2026-01-01T00:00:00.000Z', seconds: 63.2 },
    ...{ mode: 'cumulative', delta, layers, skipped: [], notes: [] },
    summary: {
      ...{ layers: count, metric: 'accuracy', before, afterProjection: layers.at(-1).valueAfter },
      mluOriginal: mean(({ rank, maxRank }) => rank / maxRank),
      mlu: mean(({ utilization }) => utilization),
      parametersBefore: network.parameters,
      parametersAfter: sum(({ parametersAfter }) => parametersAfter) + 1500,
      flopsBefore: sum(({ flopsBefore }) => flopsBefore),
      flopsAfter: sum(({ flopsAfter }) => flopsAfter),
      decomposableLayers: layers.filter(({ decomposable }) => decomposable).length,
      ...{ passes: pass, guaranteedDrop: 2 * delta * count, notSearched: 0 },
    },
  };
  return document;
}

/** The messages of a measurement as far as `finished` layers. */
export function measurementMessages(document, finished = document.layers.length) {
  const { layers, network, backend, summary } = document;
  const opened = {
    ...{ type: 'opened', network, before: summary.before, backend: { ...backend, threads: 2 } },
    layers: layers.map(({ name, shape, rank }) => ({ name, shape, rank })),
    resumedProbes: 0,
  };
  const done = layers.slice(0, finished);
  const probes = done.flatMap(({ name, probes: all }) => all.map((probe) => ({ layer: name, probe })));
  const messages = [
    opened,
    {
      type: 'layers',
      layers: done.map((layer, index) => ({ index, layer: { ...layer, probes: undefined } })),
    },
    { type: 'probes', probes },
  ];
  const next = layers[finished];
  if (next === undefined) {
    const bare = layers.map((layer) => ({ ...layer, inputEnergies: undefined, outputEnergies: undefined }));
    return [...messages, { type: 'done', document: { ...document, layers: bare } }];
  }
  const [first, second] = next.probes;
  return [
    ...messages,
    { type: 'probes', probes: [first, second].map((probe) => ({ layer: next.name, probe })) },
    {
      type: 'stage',
      stage: {
        ...{ kind: 'search', layer: next.name, side: 'input' },
        ...(second.passed ? { low: 1, high: second.k } : { low: second.k + 1, high: first.k }),
        ...{ k: next.probes[2].k, pass: next.probes[2].pass },
      },
    },
    {
      type: 'progress',
      progress: { done: finished, total: layers.length, fraction: finished / layers.length, secondsLeft: 41 },
    },
  ];
}
