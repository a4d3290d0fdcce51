import type { Affine } from './affine';
import type { Awq } from './awq';
import type { Bitsandbytes4 } from './bitsandbytes4';
import type { BlockScaled } from './blockScaled';
import type { Chunks } from './chunkGrid';
import type { Ggml } from './ggml';
import type { Gptq } from './gptq';
import type { MlxAffine } from './mlxAffine';
import type { Mxfp4 } from './mxfp4';
import type { PackQuantized } from './packQuantized';
import type { Pieces } from './pieces';

/** How values are decoded; plain data, so that it can be handed to a worker thread. */
export type Decoder =
  | Affine
  | Awq
  | Bitsandbytes4
  | BlockScaled
  | Chunks
  | Ggml
  | Gptq
  | MlxAffine
  | Mxfp4
  | PackQuantized
  | Pieces;
