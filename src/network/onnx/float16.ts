/** Bits of an IEEE 754 half-precision number. */

const scratch = new DataView(new ArrayBuffer(4));

export function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** To the nearest, ties to even, as hardware rounds. */
export function numberToFloat16(value: number): number {
  scratch.setFloat32(0, value);
  const sign = (scratch.getUint32(0) >>> 16) & 0x8000;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return sign | 0x7e00;
  // Halfway between the largest number and the next, and above.
  if (magnitude >= 65_520) return sign | 0x7c00;
  // Below 2^-14 the spacing stays at 2^-24.
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const units = roundHalfToEven(magnitude / 2 ** (exponent - 10));
  // Subnormals have fewer than 1024 units; a carry runs into the exponent by itself.
  return sign | (((exponent + 14) << 10) + units);
}

function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
