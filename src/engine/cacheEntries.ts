/** How the entries of the result cache are laid out. Each ends with the sha256 of what comes before. */
import { createHash } from 'node:crypto';
import type { Factor, FactoredMatrix, Fitted } from '../lowrank';

const SPECTRA_MAGIC = 0x31435352; // "RSC1"
const FIT_MAGIC = 0x31465352; // "RSF1"

/** Bytes of a sha256. */
const SEAL_BYTES = 32;

function sealed(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, createHash('sha256').update(bytes).digest()]);
}

/** What was sealed, in an array of its own; undefined when it is not what was written. */
function unsealed(file: Buffer): Uint8Array<ArrayBuffer> | undefined {
  if (file.length < SEAL_BYTES + 8) return undefined;
  const bytes = Uint8Array.from(file.subarray(0, -SEAL_BYTES));
  const isWhole = createHash('sha256').update(bytes).digest().equals(file.subarray(-SEAL_BYTES));
  return isWhole ? bytes : undefined;
}

/** magic, number of arrays, their lengths (uint32 each), padding to 8, the values, sha256 of all that. */
export function encodeSpectra(spectra: readonly Float64Array[]): Uint8Array {
  const header = Math.ceil((2 + spectra.length) / 2) * 8;
  const values = spectra.reduce((sum, array) => sum + array.byteLength, 0);
  const bytes = new Uint8Array(header + values);
  const words = new Uint32Array(bytes.buffer, 0, header / 4);
  words.set([SPECTRA_MAGIC, spectra.length, ...spectra.map((array) => array.length)]);
  let offset = header;
  for (const array of spectra) {
    new Float64Array(bytes.buffer, offset, array.length).set(array);
    offset += array.byteLength;
  }
  return sealed(bytes);
}

/** Undefined for anything that is not exactly what `encodeSpectra` wrote. */
export function decodeSpectra(file: Buffer): Float64Array[] | undefined {
  const bytes = file.length % 8 === 0 ? unsealed(file) : undefined;
  if (bytes === undefined) return undefined;
  const words = new Uint32Array(bytes.buffer);
  const count = words[1] ?? 0;
  if (words[0] !== SPECTRA_MAGIC) return undefined;
  let offset = Math.ceil((2 + count) / 2) * 8;
  return Array.from(words.subarray(2, 2 + count), (length) => {
    const array = new Float64Array(bytes.buffer, offset, length);
    offset += array.byteLength;
    return array;
  });
}

/** What is kept of a fit beside the numbers of its factors. */
type FitHeader = Omit<Fitted, 'matrix'> & {
  readonly matrix: Omit<FactoredMatrix, 'factors'>;
  readonly factors: readonly Omit<Factor, 'data'>[];
};

/** magic, length of the header (uint32), the header (JSON, padded to 4), the factors' values, sha256 of all that. */
export function encodeFit({ matrix: { factors, ...matrix }, ...errors }: Fitted): Uint8Array {
  const header: FitHeader = {
    ...errors,
    matrix,
    factors: factors.map(({ name, shape }) => ({ name, shape })),
  };
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil(text.length / 4) * 4, ' ');
  text.copy(padded);
  const words = Buffer.from(Uint32Array.of(FIT_MAGIC, padded.length).buffer);
  const values = factors.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  return sealed(Buffer.concat([words, padded, ...values]));
}

/** Undefined for anything that is not exactly what `encodeFit` wrote. */
export function decodeFit(file: Buffer): Fitted | undefined {
  const bytes = unsealed(file);
  const [magic, length = 0] = bytes === undefined ? [] : new Uint32Array(bytes.buffer, 0, 2);
  if (bytes === undefined || magic !== FIT_MAGIC) return undefined;
  // The checksum vouches for the header being what encodeFit wrote.
  const { matrix, factors, ...errors } = JSON.parse(
    Buffer.from(bytes.buffer, 8, length).toString('utf8'),
  ) as FitHeader;
  let offset = 8 + length;
  const filled = factors.map(({ name, shape }): Factor => {
    const data = new Float32Array(
      bytes.buffer,
      offset,
      shape.reduce((product, size) => product * size, 1),
    );
    offset += data.byteLength;
    return { name, shape, data };
  });
  return { ...errors, matrix: { ...matrix, factors: filled } };
}
