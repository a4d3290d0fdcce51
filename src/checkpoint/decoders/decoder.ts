import type { Affine } from './affine';
import type { Chunks } from './chunks';
import type { Pieces } from './pieces';

/** How values are decoded; plain data, so that it can be handed to a worker thread. */
export type Decoder = Affine | Chunks | Pieces;
