/** MLX writes safetensors with its own order of axes. */
import type { Tensor } from '../checkpoint';
import { isConvolution } from '../layers/convolution';
import { isExpertName, isTransposedName, nameParts } from '../layers/names';
import { rowMajorStrides } from '../layout';

/** Value of the metadata's `format` by which MLX marks its files; PyTorch's say `pt`. */
export const MLX_FORMAT = 'mlx';

/**
 * A tensor of an MLX file with its axes in PyTorch's order. Kernels of convolutions are O × k… × I there (mlx.nn.Conv2d
 * and the like), also of transposed ones; every other layer is stored as in PyTorch. The bytes stay where they are.
 */
export function fromMlx(tensor: Tensor): Tensor {
  const parts = nameParts(tensor.name);
  if (tensor.layout !== undefined || isExpertName(parts) || !isConvolution(tensor)) return tensor;
  const kernelAxes = tensor.shape.map((_, axis) => axis).slice(1, -1);
  const kernel = tensor.shape.slice(1, -1);
  const last = tensor.shape.length - 1;
  // Transposed convolutions are I × O × k… in PyTorch.
  const order = isTransposedName(parts, kernel) ? [last, 0, ...kernelAxes] : [0, last, ...kernelAxes];
  const strides = rowMajorStrides(tensor.shape);
  return {
    ...tensor,
    shape: order.map((axis) => tensor.shape[axis] ?? 1),
    layout: { offset: 0, strides: order.map((axis) => strides[axis] ?? 1) },
  };
}
