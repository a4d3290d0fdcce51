/** A checkpoint of 13 GB that takes 64 MiB of disk: holes everywhere but in one layer, whose spectrum is known. */
import { closeSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';

/** Side of the one real layer: a power of 4, so that the Hadamard matrix below scales exactly. */
export const SIDE = 4096;
const HOLE_SIDE = 8192;
const HOLES = 48;
export const LAYER = 'blocks.24.weight';

/** σᵢ of the real layer: (SIDE − i) / SIDE, exact in float32. */
export const singularValues = Float64Array.from({ length: SIDE }, (_, i) => (SIDE - i) / SIDE);

/** Parity of the bits of i AND j: the sign of a Hadamard matrix's entry (Sylvester's construction). */
function hadamardSign(i: number, j: number): number {
  let bits = i & j;
  bits ^= bits >> 8;
  bits ^= bits >> 4;
  bits ^= bits >> 2;
  bits ^= bits >> 1;
  return bits & 1 ? -1 : 1;
}

/**
 * Rows of W = H · diag(σ) / 64, where H is the Hadamard matrix of order 4096: H / 64 is orthogonal, so the singular
 * values are σ, and every entry is a float32 without rounding.
 */
function writeLayer(file: number, position: number): void {
  const row = new Float32Array(SIDE);
  for (let i = 0; i < SIDE; i++) {
    for (let j = 0; j < SIDE; j++) row[j] = (hadamardSign(i, j) * (singularValues[j] ?? 0)) / 64;
    writeSync(file, row, 0, row.byteLength, position + i * row.byteLength);
  }
}

/** Writes the file; false where the file system keeps no holes (then 13 GB of zeros would be read from disk). */
export function writeSparseCheckpoint(path: string): boolean {
  const header: Record<string, unknown> = {};
  let end = 0;
  let layerStart = 0;
  for (let i = 0; i <= HOLES; i++) {
    const name = `blocks.${i}.weight`;
    const side = name === LAYER ? SIDE : HOLE_SIDE;
    if (name === LAYER) layerStart = end;
    header[name] = { dtype: 'F32', shape: [side, side], data_offsets: [end, end + 4 * side * side] };
    end += 4 * side * side;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(path, 'w');
  try {
    ftruncateSync(file, 8 + json.length + end);
    writeSync(file, length, 0, 8, 0);
    writeSync(file, json, 0, json.length, 8);
    writeLayer(file, 8 + json.length + layerStart);
  } finally {
    closeSync(file);
  }
  const { blocks, size } = statSync(path);
  return blocks * 512 < size / 10;
}
