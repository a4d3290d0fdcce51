import type { Tensor } from '../checkpoint';
import type { LayerPartView } from './layer';
import { outByIn, outputBlocks, wholeMatrix, type LayerReading, type StoredMatrix } from './matrix';
import { OUTPUT_PROJECTIONS, attentionFusion, nameParts, partsOf } from './names';
import type { TensorLookup } from './skipping';

/**
 * Reads a fused attention projection: shown whole, with q, k and v as parts where the file tells their sizes.
 * Undefined for a projection that is not fused.
 */
export function readFusedAttention(
  tensor: Tensor,
  stored: StoredMatrix,
  find: TensorLookup,
): LayerReading | undefined {
  const { leaf, parent } = partsOf(tensor);
  const fusion = attentionFusion(leaf, parent);
  if (fusion === undefined) return undefined;
  const parts =
    fusion === 'qkv' ? qkvParts(tensor, stored, find) : fusion === 'kv' ? kvParts(stored) : undefined;
  return {
    kind: 'attention',
    shape: outByIn(stored),
    matrices: [wholeMatrix(stored.rows, stored.columns)],
    ...(stored.transposed && { transposed: true }),
    ...(parts !== undefined && { parts }),
  };
}

/**
 * q has as many outputs as the output projection beside it has inputs; k and v share the rest (equally many, or
 * fewer when heads share them). Without that projection: thirds, where each is as wide as the model.
 */
function qkvParts(tensor: Tensor, stored: StoredMatrix, find: TensorLookup): LayerPartView[] | undefined {
  const [outputs, inputs] = outByIn(stored);
  if (outputs === 3 * inputs) return outputBlocks(stored, ['q', 'k', 'v'], [inputs, inputs, inputs]);
  const q = outputProjectionInputs(tensor.name, find);
  if (q === undefined || q >= outputs) return undefined;
  const kv = (outputs - q) / 2;
  return Number.isInteger(kv) && kv <= q ? outputBlocks(stored, ['q', 'k', 'v'], [q, kv, kv]) : undefined;
}

function kvParts(stored: StoredMatrix): LayerPartView[] | undefined {
  const half = outByIn(stored)[0] / 2;
  return Number.isInteger(half) ? outputBlocks(stored, ['k', 'v'], [half, half]) : undefined;
}

function outputProjectionInputs(name: string, find: TensorLookup): number | undefined {
  const { leaf, prefix } = nameParts(name);
  // `attn.qkv.weight` has its sibling at `attn.`, `attn.in_proj_weight` too.
  const block = leaf === 'in_proj_weight' ? prefix : prefix.replace(/[^./]+[./]$/, '');
  for (const projection of OUTPUT_PROJECTIONS) {
    const found = find(block + projection);
    if (found?.shape.length === 2) return found.shape[1];
  }
  return undefined;
}
