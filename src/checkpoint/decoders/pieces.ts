import { allocateResult } from './allocate';

/** Bytes that follow one another in several places: a tensor across the ends of shards. */
export interface Pieces {
  readonly kind: 'pieces';
}

/** @param sources uint8, in order */
export function decodePieces(sources: readonly Uint8Array[], byteLength: number): Uint8Array {
  const bytes = allocateResult(byteLength);
  let at = 0;
  for (const source of sources) {
    bytes.set(source.subarray(0, byteLength - at), at);
    at += source.length;
  }
  return bytes.subarray(0, Math.min(at, byteLength));
}
