import type { Tensor } from '../checkpoint';
import { MXFP4_BLOCK } from '../decoders/mxfp4';
import {
  MAX_STACK,
  type PackedWeight,
  type Surroundings,
  decodedWeight,
  leave,
  requireSizes,
  sliceOf,
  stackedWeight,
} from './scheme';

/** Bytes of a block of 32 values. */
const BLOCK_BYTES = MXFP4_BLOCK / 2;

/**
 * gpt-oss in MXFP4: `<weight>_blocks` (experts × outputs × blocks × 16 bytes) and `<weight>_scales` (experts × outputs ×
 * blocks). transformers keeps these experts inputs × outputs once they are unpacked, and so are they given.
 */
export function mxfp4Weight(tensor: Tensor, { find }: Surroundings): PackedWeight | undefined {
  const { name, shape } = tensor;
  if (!name.endsWith('_blocks') || tensor.dtype !== 'uint8') return undefined;
  const weightName = name.slice(0, -'_blocks'.length);
  const scales = find(`${weightName}_scales`);
  if (scales?.dtype !== 'uint8') return undefined;
  const [experts = 0, outputs = 0, blocks = 0, blockBytes = 0] = shape;
  if (shape.length !== 4 || blockBytes !== BLOCK_BYTES || experts * outputs * blocks === 0)
    throw leave(`with blocks of shape [${shape.join(', ')}]`);
  requireSizes(scales, [experts, outputs, blocks]);
  if (experts > MAX_STACK) throw leave(`as a stack of ${experts}`);
  const inputs = blocks * MXFP4_BLOCK;
  const decoder = { kind: 'mxfp4', rows: outputs, columns: inputs, transposed: true } as const;
  const parts = Array.from({ length: experts }, (_, i) =>
    decodedWeight(`${weightName}[${i}]`, [inputs, outputs], decoder, [
      sliceOf(tensor, i),
      sliceOf(scales, i),
    ]),
  );
  return {
    weight: stackedWeight(weightName, [experts, inputs, outputs], parts),
    parts: [tensor, scales],
    form: '4-bit MXFP4 (blocks of 32)',
  };
}
