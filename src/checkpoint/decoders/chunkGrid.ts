/** An array kept in boxes of equal size, each passed through filters: HDF5's chunked datasets. */
export interface Chunks {
  readonly kind: 'chunks';
  readonly shape: readonly number[];
  /** Sizes of a box; boxes at the ends reach beyond the array. */
  readonly chunk: readonly number[];
  readonly elementBytes: number;
  /** One element, for what is in no box; empty for zeros. */
  readonly fill: readonly number[];
  /** First element of each source along each axis. */
  readonly starts: readonly (readonly number[])[];
  /** As applied when the boxes were written. */
  readonly filters: readonly (
    | { readonly kind: 'deflate' }
    | { readonly kind: 'shuffle'; readonly elementBytes: number }
    /** A checksum at the end. */
    | { readonly kind: 'fletcher32' }
  )[];
  /** For each source, a bit for each filter that was left out; absent: none was. */
  readonly masks?: readonly number[];
}
