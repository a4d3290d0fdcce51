import type { RunnableNetwork } from '../../network/network';
import type { MeasuredLayer } from './measuredLayers';

/**
 * Gram matrices summed in one pass over the data, together: layers beyond it wait for another pass. Half a ResNet-50,
 * or five blocks of a ViT-B.
 */
const GRAM_BYTES_PER_PASS = 512 << 20;

/** Layers in order, as many in each pass as fit; a layer that does not fit has one of its own. */
export function gramPasses(layers: readonly MeasuredLayer[]): MeasuredLayer[][] {
  const passes: MeasuredLayer[][] = [];
  let bytes = Infinity;
  for (const entry of layers) {
    const [, n] = entry.layer.shape;
    const size = 8 * entry.layer.groups * n * n;
    if (bytes + size > GRAM_BYTES_PER_PASS) {
      passes.push([]);
      bytes = 0;
    }
    passes.at(-1)?.push(entry);
    bytes += size;
  }
  return passes;
}

/** The input Grams of one pass's layers, each told once. */
export async function sumGrams(
  network: RunnableNetwork,
  pass: readonly MeasuredLayer[],
  onGram: (entry: MeasuredLayer, gram: Float64Array) => Promise<void>,
  signal: AbortSignal,
  onFraction?: (fraction: number) => void,
): Promise<void> {
  const byIndex = new Map(pass.map((entry) => [entry.index, entry]));
  await network.inputGrams(
    [...byIndex.keys()],
    async ({ layer: index, gram }) => {
      const entry = byIndex.get(index);
      if (entry !== undefined) await onGram(entry, gram);
    },
    signal,
    onFraction,
  );
}
