// Conversions of any size, made from spectra with known shapes: no checkpoint is computed for them.

/** ‖·‖²_F of singular values. */
const energy = (values) => values.reduce((sum, value) => sum + value * value, 0);

function facts(values) {
  const [top = 0] = values;
  const all = energy(values);
  const sum = values.reduce((total, value) => total + value, 0);
  let held = 0;
  const rank = values.findIndex((value) => (held += value * value) >= 0.9999 * all) + 1;
  return {
    stableRank: top > 0 ? all / top ** 2 : 0,
    effectiveRank: Math.exp(values.reduce((total, v) => total - (v / sum) * Math.log(v / sum), 0)),
    rank,
  };
}

/** Slowly falling, different from layer to layer and the same every time. */
function spectrumOf(index, length) {
  const fall = 1.5 + ((index * 31) % 17) / 4;
  return Array.from({ length }, (_, i) => 3 * Math.exp((-fall * i) / length) * (1 - (0.97 * i) / length));
}

const cost = (parameters, flops) => ({ parameters, bytes: 4 * parameters, flops });

function layerOf(index, name, share) {
  const m = [64, 256, 128][index % 3];
  const n = m * (1 + (index % 4));
  const base = { name, kind: index % 4 === 3 ? 'conv' : 'linear', shape: [m, n], dtype: 'float32' };
  const before = cost(m * n, 2 * m * n);
  if (index % 10 === 9)
    return { ...base, kind: 'embedding', outcome: 'dense', before, reason: 'embedding: a table, not a map' };
  const k = Math.max(1, Math.round(share * m));
  const original = spectrumOf(index, m);
  const lowRank = original.slice(0, k);
  const svdRelativeError = Math.sqrt(energy(original.slice(k)) / energy(original));
  // What a fit leaves: the leading values, and a tail of its own below the original's.
  const converted = original.map((value, i) => (i < k ? value * 0.99 : value * 0.55));
  return {
    ...base,
    outcome: 'converted',
    k,
    omega: 3 * Math.sqrt(k),
    gain: 12.5,
    relativeError: svdRelativeError * (0.9 + ((index * 7) % 9) / 100),
    svdRelativeError,
    before,
    after: cost(k * (m + n), 2 * m * n),
    spectrum: { before: facts(original), lowRank: facts(lowRank), converted: facts(converted) },
    spectra: { original, lowRank, converted },
    seconds: 0.4,
  };
}

/**
 * @param {number} count of layers
 * @param {{ names?: string[], share?: number, folder?: string }} options
 */
export function syntheticConversion(count, { names = [], share = 0.15, folder = '/models' } = {}) {
  const layers = Array.from({ length: count }, (_, i) => {
    const part = ['q_proj', 'k_proj', 'mlp.up', 'mlp.down'][i % 4];
    return layerOf(i, names[i] ?? `model.layers.${Math.floor(i / 4)}.${part}.weight`, share);
  });
  const converted = layers.filter(({ outcome }) => outcome === 'converted');
  const sum = (of) => layers.reduce((total, layer) => total + of(layer), 0);
  const before = sum(({ before: { parameters } }) => parameters) + 1000;
  const saved = converted.reduce(
    (total, layer) => total + layer.before.parameters - layer.after.parameters,
    0,
  );
  const logs = converted.map(({ relativeError, svdRelativeError }) =>
    Math.log(relativeError / svdRelativeError),
  );
  const checkpoint = {
    ...{ path: `${folder}/synthetic.safetensors`, format: 'safetensors', bytes: before * 4 + 4096 },
    ...{ tensors: count + 2, parameters: before },
  };
  return {
    schema: 'rankscope/conversion@1',
    tool: { name: 'rankscope', version: '0.1.0' },
    backend: { name: 'wasm', build: 'wasm relaxed-simd 1' },
    checkpoint,
    startedAt: '2026-01-02T03:04:05.000Z',
    seconds: 3.5,
    ...{ to: 'sine', seed: 0, layers },
    summary: {
      ...{ converted: converted.length, dense: layers.length - converted.length },
      ...{ parametersBefore: before, parametersAfter: before - saved },
      compressionRate: (before - saved) / before,
      ...{ bytesBefore: before * 4, bytesAfter: (before - saved) * 4 },
      meanErrorRatio: Math.exp(logs.reduce((total, log) => total + log, 0) / logs.length),
      ...{ flopsBefore: sum((l) => l.before.flops), flopsAfter: sum((l) => l.before.flops) },
    },
    files: {
      factors: `${folder}/synthetic.sine-k15pct.safetensors`,
      document: `${folder}/synthetic.sine-k15pct.json`,
      loader: `${folder}/sine_lowrank.py`,
    },
  };
}

/** What the form knows of a conversion's checkpoint before there is one. */
export function previewMessage({ checkpoint, layers }) {
  return {
    type: 'preview',
    folder: '/models',
    preview: {
      checkpoint,
      layers: layers.map(({ name, kind, shape, before: { parameters }, reason }) => ({
        ...{ name, kind, shape, parameters, groups: 1, byDefault: reason === undefined },
        ...(reason !== undefined && { reason }),
      })),
    },
  };
}

const CHOICES = { ranks: { kind: 'share', share: 0.15 }, materialize: false };

/** The host's messages from the click on Convert until layers come. */
export function startMessages(document) {
  return [
    { type: 'started', choices: CHOICES },
    {
      type: 'opened',
      checkpoint: document.checkpoint,
      layerNames: document.layers.filter(({ outcome }) => outcome === 'converted').map(({ name }) => name),
      backend: { ...document.backend, threads: 2 },
    },
  ];
}

export function layersMessage(document, from = 0, to = document.layers.length) {
  return {
    type: 'layers',
    layers: document.layers.slice(from, to).map((layer, i) => ({ index: from + i, layer })),
  };
}

/** The finished document, as a host sends it: without spectra, which came with the layers. */
export function doneMessage(document) {
  const layers = document.layers.map((layer) => ({ ...layer, spectra: undefined }));
  return { type: 'done', document: { ...document, layers } };
}

export function wholeConversion(document) {
  return [
    previewMessage(document),
    ...startMessages(document),
    layersMessage(document),
    doneMessage(document),
  ];
}
