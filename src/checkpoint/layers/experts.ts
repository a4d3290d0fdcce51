import type { Tensor } from '../checkpoint';
import { outByIn, type LayerReading } from './matrix';
import { isExpertName, isTorchNonConvolution, partsOf } from './names';
import type { TensorLookup } from './skipping';

/** A layer is listed for each expert; a thousand times the experts of any model in use is a hostile shape. */
const MAX_EXPERTS = 1 << 14;

/**
 * Reads a stack of experts, experts × a × b, as one linear layer for each. Undefined for anything else.
 *
 * transformers keeps some models' experts out × in (Mixtral) and some in × out (Llama 4, gpt-oss), under the same names;
 * the sizes of gate_up_proj and down_proj together tell.
 */
export function readExperts(tensor: Tensor, find: TensorLookup): LayerReading[] | undefined {
  const parts = partsOf(tensor);
  const [experts = 0, rows = 0, columns = 0] = tensor.shape;
  if (tensor.shape.length !== 3 || experts > MAX_EXPERTS || !isExpertName(parts)) return undefined;
  // A bilinear layer of one expert has three axes of its own.
  if (isTorchNonConvolution(tensor)) return undefined;
  if (parts.segments.some((segment) => segment.includes('conv'))) return undefined;
  const transposed = isStoredInByOut(tensor, find);
  return Array.from({ length: experts }, (_, i) => ({
    kind: 'linear',
    shape: outByIn({ rows, columns, transposed }),
    matrices: [{ offset: i * rows * columns, rows, columns, rowStride: columns }],
    ...(transposed && { transposed }),
  }));
}

function isStoredInByOut(tensor: Tensor, find: TensorLookup): boolean {
  const gateUp = find(tensor.name.replace(/down_proj/, 'gate_up_proj'))?.shape;
  const down = find(tensor.name.replace(/gate_up_proj/, 'down_proj'))?.shape;
  // Out × in would be 2·inner × model and model × inner.
  return (
    gateUp !== undefined && down !== undefined && gateUp[1] === down[2] && gateUp[2] === 2 * (down[1] ?? 0)
  );
}
