import { constants, deflateSync, inflateSync } from 'node:zlib';

/** Every PNG begins with these (PNG specification, 5.2). */
const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** The polynomial of CRC-32, bits reversed. */
const CRC_POLYNOMIAL = 0xedb88320;

function* chunks(png) {
  for (let at = SIGNATURE.length; at < png.length;) {
    const length = png.readUInt32BE(at);
    yield { type: png.toString('latin1', at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) };
    at += length + 12;
  }
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? CRC_POLYNOMIAL : 0);
  }
  return ~crc >>> 0;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** The same picture in fewer bytes: browsers compress screenshots in haste. Chunks that no pixel needs are left out. */
export function recompressed(png) {
  const all = [...chunks(png)];
  const joined = (type) => Buffer.concat(all.filter((part) => part.type === type).map(({ data }) => data));
  const pixels = inflateSync(joined('IDAT'));
  const packed = [constants.Z_DEFAULT_STRATEGY, constants.Z_FILTERED]
    .map((strategy) => deflateSync(pixels, { level: 9, memLevel: 9, strategy }))
    .sort((a, b) => a.length - b.length)[0];
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', joined('IHDR')),
    chunk('IDAT', packed),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
