/**
 * PNG (ISO/IEC 15948): all colour types and depths, interlaced too. Transparency is left aside, as PIL's
 * `convert("RGB")` does. Written here because the data is inflated by Node's own zlib under the bound that the header
 * gives: the libraries for it inflate whatever a file holds.
 */
import { inflateSync } from 'node:zlib';
import { requireReasonableSize, type Fail, type Picture } from './picture';
import { unfilter } from './pngFilter';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const HEADER_BYTES = 13;
/** Samples a pixel, by colour type: grey, RGB, palette, grey with alpha, RGB with alpha. */
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};
const PALETTE = 3;

/** Where the pixels of each of the seven passes of Adam7 lie. */
const ADAM7: readonly Pass[] = [
  { x: 0, y: 0, dx: 8, dy: 8 },
  { x: 4, y: 0, dx: 8, dy: 8 },
  { x: 0, y: 4, dx: 4, dy: 8 },
  { x: 2, y: 0, dx: 4, dy: 4 },
  { x: 0, y: 2, dx: 2, dy: 4 },
  { x: 1, y: 0, dx: 2, dy: 2 },
  { x: 0, y: 1, dx: 1, dy: 2 },
];
const WHOLE: readonly Pass[] = [{ x: 0, y: 0, dx: 1, dy: 1 }];

interface Pass {
  readonly x: number;
  readonly y: number;
  readonly dx: number;
  readonly dy: number;
}

interface Header {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly colourType: number;
  readonly samples: number;
  readonly passes: readonly Pass[];
}

export function looksLikePng(bytes: Uint8Array): boolean {
  return SIGNATURE.every((byte, i) => bytes[i] === byte);
}

/** @throws through `fail` for anything that is no PNG, or more than its header says */
export function decodePng(bytes: Uint8Array, fail: Fail): Picture {
  const chunks = readChunks(bytes, fail);
  const { samples, colourType } = chunks.header;
  const channels = colourType === PALETTE || samples >= 3 ? 3 : 1;
  return { ...decodeChannels(chunks, channels, fail), channels };
}

/** The same with its opacity as the last channel; undefined when the file has none (that of a palette is not read). */
export function decodePngWithAlpha(
  bytes: Uint8Array,
  fail: Fail,
): (Omit<Picture, 'channels'> & { readonly channels: 2 | 4 }) | undefined {
  const chunks = readChunks(bytes, fail);
  const { samples } = chunks.header;
  if (samples !== 2 && samples !== 4) return undefined;
  return { ...decodeChannels(chunks, samples, fail), channels: samples };
}

/** The first channels of each pixel. */
function decodeChannels(
  { header, palette, data }: Chunks,
  channels: number,
  fail: Fail,
): Omit<Picture, 'channels'> {
  const lines = inflateLines(data, header, fail);
  const { width, height, colourType, samples, depth } = header;
  const values = new (depth === 16 ? Float32Array : Uint8Array)(width * height * channels);
  let at = 0;
  for (const pass of header.passes) {
    const [columns, rows] = passSize(header, pass);
    const lineBytes = Math.ceil((columns * samples * depth) / 8);
    if (columns === 0 || rows === 0) continue;
    const part = lines.subarray(at, at + rows * (lineBytes + 1));
    at += part.length;
    unfilter(part, lineBytes, rows, Math.max(1, (samples * depth) / 8), fail);
    for (let row = 0; row < rows; row++) {
      const line = part.subarray(row * (lineBytes + 1) + 1, (row + 1) * (lineBytes + 1));
      for (let column = 0; column < columns; column++) {
        const pixel = (pass.y + row * pass.dy) * width + pass.x + column * pass.dx;
        for (let c = 0; c < channels; c++) {
          const sample = colourType === PALETTE ? column : column * samples + c;
          const value = sampleOf(line, sample, depth);
          values[pixel * channels + c] =
            colourType === PALETTE ? paletteColour(palette, value, c, fail) : toByteRange(value, depth);
        }
      }
    }
  }
  return { width, height, values };
}

function sampleOf(line: Uint8Array, index: number, depth: number): number {
  if (depth === 8) return line[index] ?? 0;
  if (depth === 16) return ((line[2 * index] ?? 0) << 8) | (line[2 * index + 1] ?? 0);
  const bit = index * depth;
  return ((line[bit >> 3] ?? 0) >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
}

/** Grey of few bits spreads over 0 … 255; 16 bits keep their fractions. */
function toByteRange(value: number, depth: number): number {
  return depth === 8 ? value : (value * 255) / (2 ** depth - 1);
}

function paletteColour(palette: Uint8Array, index: number, channel: number, fail: Fail): number {
  const colour = palette[3 * index + channel];
  if (colour === undefined)
    throw fail('malformed', `a pixel of colour ${index}, but the palette has ${palette.length / 3}`);
  return colour;
}

interface Chunks {
  readonly header: Header;
  readonly palette: Uint8Array;
  readonly data: Uint8Array;
}

function readChunks(bytes: Uint8Array, fail: Fail): Chunks {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const data: Uint8Array[] = [];
  let header: Header | undefined;
  let palette: Uint8Array = new Uint8Array(0);
  for (let at = SIGNATURE.length; ;) {
    if (at + 12 > bytes.length) throw fail('malformed', 'a PNG that is cut off');
    const length = view.getUint32(at);
    const type = Buffer.from(bytes.subarray(at + 4, at + 8)).toString('latin1');
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (at + 12 + length > bytes.length) throw fail('malformed', 'a PNG that is cut off');
    if (type === 'IHDR') header = readHeader(content, fail);
    else if (header === undefined) throw fail('malformed', 'a PNG that does not begin with its header');
    else if (type === 'PLTE') palette = content;
    else if (type === 'IDAT') data.push(content);
    else if (type === 'IEND') return { header, palette, data: Buffer.concat(data) };
    at += 12 + length;
  }
}

function readHeader(content: Uint8Array, fail: Fail): Header {
  if (content.length !== HEADER_BYTES) throw fail('malformed', 'a PNG header of the wrong length');
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colourType, compression, filter, interlace] = [8, 9, 10, 11, 12].map((at) =>
    view.getUint8(at),
  );
  requireReasonableSize(width, height, fail);
  const samples = SAMPLES[colourType ?? -1];
  if (colourType === undefined || depth === undefined || samples === undefined)
    throw fail('malformed', `a PNG of colour type ${colourType ?? 0}`);
  if (DEPTHS[colourType]?.includes(depth) !== true || compression !== 0 || filter !== 0)
    throw fail('malformed', `a PNG of colour type ${colourType} with ${depth} bits`);
  return { width, height, depth, colourType, samples, passes: interlace === 1 ? ADAM7 : WHOLE };
}

/** Columns and rows of a pass. */
function passSize({ width, height }: Header, { x, y, dx, dy }: Pass): [number, number] {
  return [Math.max(0, Math.ceil((width - x) / dx)), Math.max(0, Math.ceil((height - y) / dy))];
}

/** The filtered lines of all passes: a filter byte, then the pixels. Not a byte more is inflated than they need. */
function inflateLines(data: Uint8Array, header: Header, fail: Fail): Uint8Array {
  const needed = header.passes.reduce((sum, pass) => {
    const [columns, rows] = passSize(header, pass);
    const lineBytes = Math.ceil((columns * header.samples * header.depth) / 8);
    return sum + (columns === 0 ? 0 : rows * (lineBytes + 1));
  }, 0);
  let lines: Uint8Array;
  try {
    lines = inflateSync(data, { maxOutputLength: needed });
  } catch (error) {
    throw fail(
      'malformed',
      `pixels that do not inflate to ${needed} bytes, which its header asks for`,
      error,
    );
  }
  if (lines.length !== needed)
    throw fail('malformed', `pixels that inflate to ${lines.length} bytes instead of ${needed}`);
  return lines;
}
