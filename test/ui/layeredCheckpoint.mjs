// Writes safetensors files of many layers, for tests of streaming and cancelling.
import { closeSync, openSync, writeSync } from 'node:fs';

const BYTES_PER_VALUE = 2;

/** Uniform in [-1, 1): a linear congruential generator with the constants of Numerical Recipes, so that runs agree. */
function randomValues(count, seed) {
  const bits = new Uint16Array(count);
  const float = new Float32Array(1);
  const word = new Uint32Array(float.buffer);
  let state = seed >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    float[0] = state / 2 ** 31 - 1;
    // BF16 is the upper half of a float32.
    bits[i] = word[0] >>> 16;
  }
  return bits;
}

/**
 * Each layer is `width` × `width`, BF16, random in its left columns and zero in the others: a tenth of the columns in the
 * first layer, all of them in the tenth, and so on again, so that ranks are known and the layers differ.
 * @param path file to write, about 2·layers·width² bytes
 */
export function writeLayeredCheckpoint(path, { layers, width }) {
  const bytes = width * width * BYTES_PER_VALUE;
  const header = {};
  for (let layer = 0; layer < layers; layer++) {
    header[layerName(layer)] = {
      dtype: 'BF16',
      shape: [width, width],
      data_offsets: [layer * bytes, (layer + 1) * bytes],
    };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(path, 'w');
  try {
    writeSync(file, length);
    writeSync(file, json);
    for (let layer = 0; layer < layers; layer++) {
      const values = leftColumns(randomValues(width * width, layer + 1), width, randomColumns(layer, width));
      writeSync(file, new Uint8Array(values.buffer));
    }
  } finally {
    closeSync(file);
  }
}

/** Columns of a layer that are not zero: at most its rank. */
export function randomColumns(layer, width) {
  return Math.ceil(((1 + (layer % 10)) / 10) * width);
}

function leftColumns(bits, width, columns) {
  for (let row = 0; row < width; row++) bits.fill(0, row * width + columns, (row + 1) * width);
  return bits;
}

/** Name of the layer-th tensor of such a file. */
export function layerName(layer) {
  return `blocks.${String(layer).padStart(3, '0')}.weight`;
}
