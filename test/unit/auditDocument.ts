import type { AuditDocument, LayerAudit, RankMetrics } from '../../src/engine/document';

/** Metrics of a plausible layer; a rank of its own for each, the rest alike. */
export function metrics(rank: number): RankMetrics {
  return {
    rank,
    energyRanks: { '0.9': rank / 2, '0.95': rank / 2, '0.99': rank, '0.999': rank, '0.9999': rank },
    stableRank: 2.5,
    effectiveRank: 7.25,
    spectralNorm: 3,
    frobeniusNorm: 4,
    randomEdge: 1.5,
    spikes: 2,
  };
}

export function layer(
  name: string,
  [m, n]: readonly [number, number],
  rank: number,
  more: Partial<LayerAudit> = {},
): LayerAudit {
  const maxRank = Math.min(m, n);
  return {
    name,
    kind: 'linear',
    shape: [m, n],
    dtype: 'float32',
    parameters: m * n,
    maxRank,
    utilization: rank / maxRank,
    decomposable: rank < (m * n) / (m + n),
    ...metrics(rank),
    ...more,
  };
}

export const convolution = layer('layer1.0.conv1.weight', [16, 144], 12, { kind: 'conv' });
export const narrow = layer('layer3.2.conv2.weight', [64, 576], 10, { kind: 'conv' });
export const depthwise = layer('blocks.0.dw.weight', [1, 9], 1, {
  kind: 'conv',
  groups: 32,
  trivialRank: true,
  parameters: 288,
  decomposable: false,
});
export const full = layer('fc.weight', [10, 64], 10);

/** An audit of a small network: 16·144 + 64·576 + 288 + 640 = 40,096 elements in layers, 500 in norms and biases. */
export function auditDocument(
  layers: readonly LayerAudit[] = [convolution, narrow, depthwise, full],
): AuditDocument {
  return {
    schema: 'rankscope/audit@1',
    tool: { name: 'rankscope', version: '0.1.0' },
    backend: { name: 'wasm', build: 'wasm simd 1' },
    checkpoint: {
      path: 'models/resnet.pt',
      format: 'PyTorch (zip)',
      bytes: 163_840,
      tensors: 7,
      parameters: 40_596,
    },
    startedAt: '2024-05-01T12:00:00.000Z',
    seconds: 1.25,
    layers,
    skipped: [
      {
        name: 'bn1.weight',
        shape: [16],
        dtype: 'float32',
        reason: 'norm: one scale or shift for each channel, no matrix',
      },
      {
        name: 'bn1.bias',
        shape: [16],
        dtype: 'float32',
        reason: 'norm: one scale or shift for each channel, no matrix',
      },
      {
        name: 'fc.bias',
        shape: [10],
        dtype: 'float32',
        reason: 'bias: one number for each output, no matrix',
      },
    ],
    summary: {
      layers: layers.length,
      analysedParameters: 40_096,
      meanUtilization: (12 / 16 + 10 / 64 + 1) / 3,
      decomposableLayers: 2,
      // 36,864 → 10·640 and 2,304 → 12·160.
      parametersIfDecomposed: 40_596 - 36_864 + 6_400 - 2_304 + 1_920,
    },
  };
}

/** Every field that a document may have, so that nothing optional goes unseen. */
export function completeDocument(): AuditDocument {
  const document = auditDocument([
    layer('attn.qkv.weight', [6, 2], 2, {
      kind: 'attention',
      groups: 2,
      trivialRank: true,
      tiedTo: 'other.weight',
      parts: [{ name: 'q', shape: [2, 2], maxRank: 2, utilization: 1, ...metrics(2) }],
      singularValues: [3, 1.5],
    }),
  ]);
  return {
    ...document,
    checkpoint: { ...document.checkpoint, sha256: '0'.repeat(64), notes: ['optimizer state left out'] },
  };
}
