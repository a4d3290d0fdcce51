/**
 * The bytes of a safetensors file of float32 tensors: an 8-byte little-endian length, a JSON header padded with
 * spaces to 8 bytes, then the tensors' values in order.
 * @param {{ name: string, shape: number[], values: Float32Array }[]} tensors
 * @param {Record<string, string>} metadata
 */
export function safetensors(tensors, metadata) {
  const header = { __metadata__: metadata };
  let end = 0;
  for (const { name, shape, values } of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + 4 * values.length] };
    end += 4 * values.length;
  }
  const text = JSON.stringify(header);
  const json = Buffer.from(text + ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8));
  const bytes = Buffer.alloc(8 + json.length + end);
  bytes.writeBigUInt64LE(BigInt(json.length));
  json.copy(bytes, 8);
  let position = 8 + json.length;
  for (const { values } of tensors) {
    for (const value of values) position = bytes.writeFloatLE(value, position);
  }
  return bytes;
}
