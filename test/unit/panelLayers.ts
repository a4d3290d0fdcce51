import type { LayerFacts, PanelLayer } from '../../webview/model/audit';

/** What is told of a layer besides its spectrum; every field can be set. */
export function layerFacts(changes: Partial<LayerFacts> = {}): LayerFacts {
  return {
    name: 'layer.weight',
    kind: 'linear',
    shape: [4, 8],
    dtype: 'float32',
    parameters: 32,
    maxRank: 4,
    rank: 3,
    energyRanks: { '0.9': 1, '0.95': 2, '0.99': 2, '0.999': 3, '0.9999': 3 },
    stableRank: 1.5,
    effectiveRank: 2.5,
    spectralNorm: 2,
    frobeniusNorm: 3,
    randomEdge: 2.5,
    spikes: 0,
    utilization: 0.75,
    decomposable: false,
    ...changes,
  };
}

export function panelLayer(
  changes: Partial<LayerFacts> = {},
  spectrum: readonly number[] = [2, 1, 0.5, 0],
): PanelLayer {
  return { facts: layerFacts(changes), spectrum: new Float64Array(spectrum) };
}

/** Layers in file order, as the page keeps them; a bare name is not computed yet. */
export function slots(...layers: readonly (string | Partial<LayerFacts>)[]) {
  return layers.map((layer) => {
    if (typeof layer === 'string') return { name: layer };
    const made = panelLayer(layer);
    return { name: made.facts.name, layer: made };
  });
}
