/** Forms of ggml that are decoded, and how large their blocks are: values after decoding, bytes before (`ggml-common.h`). */
const BLOCKS = {
  Q4_0: { values: 32, bytes: 18 },
  Q4_1: { values: 32, bytes: 20 },
  Q5_0: { values: 32, bytes: 22 },
  Q5_1: { values: 32, bytes: 24 },
  Q8_0: { values: 32, bytes: 34 },
  Q2_K: { values: 256, bytes: 84 },
  Q3_K: { values: 256, bytes: 110 },
  Q4_K: { values: 256, bytes: 144 },
  Q5_K: { values: 256, bytes: 176 },
  Q6_K: { values: 256, bytes: 210 },
  Q8_K: { values: 256, bytes: 292 },
  IQ4_NL: { values: 32, bytes: 18 },
  IQ4_XS: { values: 256, bytes: 136 },
  TQ1_0: { values: 256, bytes: 54 },
  TQ2_0: { values: 256, bytes: 66 },
  MXFP4: { values: 32, bytes: 17 },
  NVFP4: { values: 64, bytes: 36 },
} as const;

export type GgmlType = keyof typeof BLOCKS;

export interface BlockSize {
  readonly values: number;
  readonly bytes: number;
}

export function blockSize(type: GgmlType): BlockSize {
  return BLOCKS[type];
}

export function isGgmlType(name: string): name is GgmlType {
  return Object.hasOwn(BLOCKS, name);
}
