/**
 * A safetensors file shaped like ViT-B/16: 86 million float32 parameters, 50 matrices whose spectra decay.
 *
 * A weight is G · D · Q: G is m × n of independent, nearly normal numbers, D scales column j by (1 + j)^−α (α differs
 * from layer to layer), and Q is orthogonal and cheap to apply to a row (sign flips, Hadamard transforms over blocks
 * of 256 and a stride permutation, twice), so that σ follows the power law while no entry of the matrix shows it.
 */
import { closeSync, existsSync, openSync, renameSync, writeSync } from 'node:fs';
import path from 'node:path';
import { benchFolder } from './cache.mjs';

const WIDTH = 768;
const BLOCKS = 12;
/** Every row length of ViT-B is a multiple of this. */
const HADAMARD = 256;
/** Goes into the file's name: change it with anything below, or an older file is used. */
const VERSION = 1;

function parameters() {
  const list = [];
  const linear = (name, rows, columns) => {
    list.push({ name: `${name}.weight`, shape: [rows, columns], decay: 0.3 + 0.1 * (list.length % 8) });
    list.push({ name: `${name}.bias`, shape: [rows] });
  };
  const norm = (name) => {
    for (const part of ['weight', 'bias']) list.push({ name: `${name}.${part}`, shape: [WIDTH] });
  };
  linear('patch_embed.proj', WIDTH, 16 * 16 * 3);
  for (let i = 0; i < BLOCKS; i++) {
    norm(`blocks.${i}.norm1`);
    linear(`blocks.${i}.attn.qkv`, 3 * WIDTH, WIDTH);
    linear(`blocks.${i}.attn.proj`, WIDTH, WIDTH);
    norm(`blocks.${i}.norm2`);
    linear(`blocks.${i}.mlp.fc1`, 4 * WIDTH, WIDTH);
    linear(`blocks.${i}.mlp.fc2`, WIDTH, 4 * WIDTH);
  }
  norm('norm');
  linear('head', 1000, WIDTH);
  // The patch embedding is a convolution, O × I × 16 × 16.
  return list.map((item) =>
    item.name === 'patch_embed.proj.weight' ? { ...item, shape: [WIDTH, 3, 16, 16] } : item,
  );
}

/** Seeded nearly normal numbers: the sum of four 16-bit uniforms from two xorshift states. */
function normals(seed) {
  let state = seed;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
  };
  // Four uniforms on [−½, ½) have variance 1/3.
  const scale = Math.sqrt(3) / 65536;
  return () => {
    const [a, b] = [next(), next()];
    return ((a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16) - 131070) * scale;
  };
}

/** Hadamard transforms of each block of a row, scaled to be orthogonal. */
function hadamard(row) {
  for (let start = 0; start < row.length; start += HADAMARD) {
    for (let half = 1; half < HADAMARD; half *= 2) {
      for (let i = start; i < start + HADAMARD; i += 2 * half) {
        for (let j = i; j < i + half; j++) {
          const [a, b] = [row[j], row[j + half]];
          row[j] = a + b;
          row[j + half] = a - b;
        }
      }
    }
  }
  for (let j = 0; j < row.length; j++) row[j] /= 16; // √256
}

function weight(rows, columns, decay, seed) {
  const random = normals(seed);
  const scale = Float64Array.from({ length: columns }, (_, j) => 0.05 * (1 + j) ** -decay);
  const signs = Array.from({ length: 2 }, () =>
    Int8Array.from({ length: columns }, () => (random() < 0 ? -1 : 1)),
  );
  const [row, moved] = [new Float64Array(columns), new Float64Array(columns)];
  const values = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) row[j] = random() * scale[j];
    for (const sign of signs) {
      // Neighbours go to different blocks: 257 shares no factor with 768 or 3072.
      for (let j = 0; j < columns; j++) moved[(j * 257) % columns] = row[j] * sign[j];
      hadamard(moved);
      row.set(moved);
    }
    values.set(row, i * columns);
  }
  return values;
}

/** Writes the file where it is not there yet; returns its path. */
export function vitCheckpoint() {
  const file = path.join(benchFolder(), `vit-b-${VERSION}.safetensors`);
  if (existsSync(file)) return file;
  console.log(`making ${file} …`);
  const list = parameters();
  const header = {};
  let end = 0;
  for (const { name, shape } of list) {
    const bytes = 4 * shape.reduce((a, b) => a * b);
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const output = openSync(`${file}.partial`, 'w');
  writeSync(output, length);
  writeSync(output, json);
  list.forEach(({ shape, decay }, i) => {
    const [rows, ...rest] = shape;
    const values =
      decay === undefined
        ? new Float32Array(rows).fill(0.5)
        : weight(
            rows,
            rest.reduce((a, b) => a * b),
            decay,
            1000 + i,
          );
    writeSync(output, new Uint8Array(values.buffer));
  });
  closeSync(output);
  renameSync(`${file}.partial`, file);
  return file;
}
