import type { Affine } from './affine';
import type { Ggml } from './ggml';
import type { Pieces } from './pieces';

/** How values are decoded; plain data, so that it can be handed to a worker thread. */
export type Decoder = Affine | Ggml | Pieces;
