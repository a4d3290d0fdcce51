/** Small files of training data that tests make themselves. */
import { deflateSync } from 'node:zlib';
import type { Mesh } from '../../src/network/data/mesh/mesh';
import { bytes, type EntryRecipe } from '../fixtures/handmade';

/** A ring around the z axis, closed, its triangles turned outwards. */
export function ringMesh(radius: number, tube: number, around: number, across: number): Mesh {
  const positions = new Float64Array(3 * around * across);
  const triangles: number[] = [];
  for (let i = 0; i < around; i++) {
    for (let j = 0; j < across; j++) {
      const [a, b] = [(2 * Math.PI * i) / around, (2 * Math.PI * j) / across];
      const distance = radius + tube * Math.cos(b);
      const at = i * across + j;
      positions.set([distance * Math.cos(a), distance * Math.sin(a), tube * Math.sin(b)], 3 * at);
      const next = ((i + 1) % around) * across;
      const [p, q] = [i * across + ((j + 1) % across), next + ((j + 1) % across)];
      triangles.push(at, next + j, q, at, q, p);
    }
  }
  return { positions, triangles: Uint32Array.from(triangles) };
}

export function objOf({ positions, triangles }: Mesh): string {
  const lines: string[] = [];
  for (let i = 0; i < positions.length; i += 3) lines.push(`v ${positions.slice(i, i + 3).join(' ')}`);
  for (let i = 0; i < triangles.length; i += 3)
    lines.push(`f ${Array.from(triangles.subarray(i, i + 3), (vertex) => vertex + 1).join(' ')}`);
  return `${lines.join('\n')}\n`;
}

/** A NumPy array. @param descr `<f4`, `|u1` … */
export function npy(descr: string, shape: readonly number[], data: Uint8Array): Buffer {
  const sizes = shape.length === 1 ? `${shape[0] ?? 0},` : shape.join(', ');
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const header = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11 + 53, ' ') + '\n';
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  return bytes([0x93], 'NUMPY', [1, 0], length, header, data);
}

export function npyEntry(
  name: string,
  descr: string,
  shape: readonly number[],
  data: Uint8Array,
): EntryRecipe {
  return { name: `${name}.npy`, data: npy(descr, shape, data) };
}

export function float32Bytes(values: ArrayLike<number>): Buffer {
  return Buffer.from(Float32Array.from(values).buffer);
}

export function float64Bytes(values: ArrayLike<number>): Buffer {
  return Buffer.from(Float64Array.from(values).buffer);
}

/** A PNG of 8-bit RGB (3 channels) or RGBA (4). */
export function png(width: number, height: number, channels: 3 | 4, pixels: ArrayLike<number>): Buffer {
  const chunk = (type: string, data: Uint8Array): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    return Buffer.concat([length, Buffer.from(type), data, Buffer.alloc(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, channels === 4 ? 6 : 2], 8);
  const lines = Buffer.alloc(height * (width * channels + 1));
  for (let y = 0; y < height; y++)
    for (let i = 0; i < width * channels; i++)
      lines[y * (width * channels + 1) + 1 + i] = pixels[y * width * channels + i] ?? 0;
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [chunk('IHDR', header), chunk('IDAT', deflateSync(lines)), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([signature, ...parts]);
}
