// Audit documents of any size, made from spectra with known shapes: no checkpoint is computed for them.

const LEVELS = ['0.9', '0.95', '0.99', '0.999', '0.9999'];

/** Metrics from their definitions, straightforwardly; descending singular values. */
function metrics(values, m, n) {
  const energy = values.reduce((sum, value) => sum + value * value, 0);
  const sum = values.reduce((total, value) => total + value, 0);
  const rankAt = (level) => {
    let held = 0;
    return values.findIndex((value) => (held += value * value) >= level * energy) + 1;
  };
  const entropy = values.reduce((total, value) => total - (value / sum) * Math.log(value / sum), 0);
  const frobeniusNorm = Math.sqrt(energy);
  const randomEdge = (frobeniusNorm / Math.sqrt(m * n)) * (Math.sqrt(m) + Math.sqrt(n));
  const energyRanks = Object.fromEntries(LEVELS.map((level) => [level, rankAt(Number(level))]));
  return {
    rank: energyRanks['0.9999'],
    energyRanks,
    stableRank: energy / values[0] ** 2,
    effectiveRank: Math.exp(entropy),
    spectralNorm: values[0],
    frobeniusNorm,
    randomEdge,
    spikes: values.filter((value) => value > randomEdge).length,
  };
}

/** A few large values over a slowly falling bulk, different from layer to layer and the same every time. */
function spectrumOf(index, length) {
  const spikes = 2 + ((index * 7) % 13);
  const fall = 0.5 + ((index * 31) % 17) / 3;
  return Array.from({ length }, (_, i) => {
    const head = i < spikes ? 3 / (1 + i) : 0;
    return head + Math.exp((-fall * i) / length) * (1 - (0.98 * i) / length);
  });
}

function layer(index, name, [m, n]) {
  const singularValues = spectrumOf(index, Math.min(m, n));
  const facts = metrics(singularValues, m, n);
  const maxRank = Math.min(m, n);
  return {
    name,
    kind: index % 5 === 4 ? 'attention' : index % 3 === 0 ? 'conv' : 'linear',
    shape: [m, n],
    dtype: 'float32',
    parameters: m * n,
    maxRank,
    ...facts,
    utilization: facts.rank / maxRank,
    decomposable: facts.rank * (m + n) < m * n,
    singularValues,
  };
}

/**
 * @param {number} count of layers
 * @param {{ values?: number, names?: string[], skipped?: object[] }} options `values`: the largest number of singular values
 */
export function syntheticAudit(count, { values = 64, names = [], skipped } = {}) {
  const layers = Array.from({ length: count }, (_, i) => {
    const least = Math.max(2, Math.round(values / 2 ** (i % 3)));
    const name =
      names[i] ??
      `model.layers.${Math.floor(i / 4)}.${['q_proj', 'k_proj', 'mlp.up', 'mlp.down'][i % 4]}.weight`;
    return layer(i, name, [least, least * (1 + (i % 4))]);
  });
  const parameters = layers.reduce((sum, { parameters: of }) => sum + of, 0);
  const counting = layers.filter(({ kind }) => kind !== 'embedding');
  const shrinking = layers.filter(({ decomposable }) => decomposable);
  const saved = shrinking.reduce(
    (sum, { rank, shape: [m, n], parameters: of }) => sum + of - rank * (m + n),
    0,
  );
  return {
    schema: 'rankscope/audit@1',
    tool: { name: 'rankscope', version: '0.1.0' },
    backend: { name: 'wasm', build: 'relaxed-simd' },
    checkpoint: {
      path: '/models/synthetic.safetensors',
      format: 'safetensors',
      bytes: parameters * 4 + 4096,
      tensors: count + (skipped?.length ?? 2),
      parameters,
    },
    startedAt: '2026-01-02T03:04:05.000Z',
    seconds: 1.25,
    layers,
    skipped: skipped ?? [
      { name: 'model.norm.weight', shape: [values], dtype: 'float32', reason: 'norm or bias: one dimension' },
      { name: 'model.step', shape: [], dtype: 'int64', reason: 'not a float: int64' },
    ],
    summary: {
      layers: count,
      analysedParameters: parameters,
      meanUtilization: counting.reduce((sum, { utilization }) => sum + utilization, 0) / counting.length,
      decomposableLayers: shrinking.length,
      parametersIfDecomposed: Math.round(parameters - saved),
    },
  };
}
