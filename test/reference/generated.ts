/**
 * Matrices from an integer formula, the same here and in `generated.py` (which documents it), so that references
 * computed in Python hold for matrices made on the spot.
 */
export interface Recipe {
  readonly name: string;
  readonly kind: 'dense' | 'product' | 'decay' | 'repeated' | 'diagonal';
  readonly rows: number;
  readonly columns: number;
  readonly seed?: number;
  readonly rank?: number;
  readonly power?: number;
  readonly scale?: number;
}

/** xorshift32 states divided by 2³¹, less 1: exact in float64. */
function stream(seed: number, count: number): Float64Array {
  const values = new Float64Array(count);
  let state = seed;
  for (let k = 0; k < count; k++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[k] = (state >>> 0) / 2 ** 31 - 1;
  }
  return values;
}

const at = (values: Float64Array, index: number): number => values[index] ?? NaN;

function power(base: number, exponent: number): number {
  let result = 1;
  for (let i = 0; i < exponent; i++) result *= base;
  return result;
}

/** Gives element (i, j) before scaling. */
function element({ kind, rows, columns, seed = 0, rank = 0, power: exponent = 0 }: Recipe) {
  switch (kind) {
    case 'diagonal':
      return (i: number, j: number): number => (i === j ? 1 / (1 + i) : 0);
    case 'repeated': {
      const u = stream(seed, rank);
      return (_i: number, j: number): number => at(u, j % rank);
    }
    case 'product': {
      const u = stream(seed, rows * rank + rank * columns);
      return (i: number, j: number): number => {
        let sum = 0;
        for (let k = 0; k < rank; k++) sum += at(u, i * rank + k) * at(u, rows * rank + k * columns + j);
        return sum;
      };
    }
    case 'dense': {
      const u = stream(seed, rows * columns);
      return (i: number, j: number): number => at(u, i * columns + j);
    }
    case 'decay': {
      const u = stream(seed, rows * columns);
      return (i: number, j: number): number => at(u, i * columns + j) / power(1 + j, exponent);
    }
  }
}

/** The rows × columns float32 matrix of a recipe, row-major. */
export function generatedMatrix(recipe: Recipe): Float32Array {
  const { rows, columns, scale = 1 } = recipe;
  const value = element(recipe);
  const matrix = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) matrix[i * columns + j] = value(i, j) * scale;
  }
  return matrix;
}

/** The bytes of a safetensors file of float32 matrices. */
export function safetensorsBytes(
  matrices: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly values: Float32Array;
  }[],
): Buffer {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape, values } of matrices) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + values.byteLength] };
    end += values.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const parts = matrices.map(({ values }) =>
    Buffer.from(values.buffer, values.byteOffset, values.byteLength),
  );
  return Buffer.concat([length, json, ...parts]);
}
