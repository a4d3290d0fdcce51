/** CRC-32 as ZIP archives use it (polynomial 0xEDB88320, reflected): zlib's own is not in every Node that runs this. */

/** Eight tables take eight bytes a step, several times faster than one byte a step. */
const TABLES = Array.from({ length: 8 }, () => new Int32Array(256));

for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  put(0, byte, crc);
}
for (let table = 1; table < 8; table++) {
  for (let byte = 0; byte < 256; byte++) {
    const before = at(table - 1, byte);
    put(table, byte, (before >>> 8) ^ at(0, before & 0xff));
  }
}

function at(table: number, byte: number): number {
  return TABLES[table]?.[byte] ?? 0;
}

function put(table: number, byte: number, value: number): void {
  const values = TABLES[table];
  if (values !== undefined) values[byte] = value;
}

/** @param before CRC of what came before these bytes; 0 at the beginning. */
export function crc32(bytes: Uint8Array, before = 0): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES;
  let crc = ~before;
  let i = 0;
  if (t0 && t1 && t2 && t3 && t4 && t5 && t6 && t7) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (; i + 8 <= bytes.length; i += 8) {
      const low = crc ^ view.getInt32(i, true);
      const high = view.getInt32(i + 4, true);
      crc =
        (t7[low & 0xff] ?? 0) ^
        (t6[(low >>> 8) & 0xff] ?? 0) ^
        (t5[(low >>> 16) & 0xff] ?? 0) ^
        (t4[low >>> 24] ?? 0) ^
        (t3[high & 0xff] ?? 0) ^
        (t2[(high >>> 8) & 0xff] ?? 0) ^
        (t1[(high >>> 16) & 0xff] ?? 0) ^
        (t0[high >>> 24] ?? 0);
    }
  }
  for (; i < bytes.length; i++) crc = (crc >>> 8) ^ at(0, (crc ^ (bytes[i] ?? 0)) & 0xff);
  return ~crc >>> 0;
}
