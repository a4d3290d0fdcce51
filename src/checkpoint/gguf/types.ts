import type { GgmlType } from '../decoders/ggml/types';
import type { DType } from '../dtype';

/** How ggml keeps the elements of a tensor: as they are, in blocks that are decoded, or in a form that is not read. */
export type ElementType =
  | { readonly name: string; readonly dtype: DType }
  | { readonly name: GgmlType }
  | { readonly name: string; readonly block?: { readonly values: number; readonly bytes: number } };

const unread = (name: string, values?: number, bytes?: number): ElementType =>
  values === undefined || bytes === undefined ? { name } : { name, block: { values, bytes } };

/** `enum ggml_type`; numbers that are missing were given up before any file had them. */
const TYPES: ReadonlyMap<number, ElementType> = new Map<number, ElementType>([
  [0, { name: 'F32', dtype: 'float32' }],
  [1, { name: 'F16', dtype: 'float16' }],
  [2, { name: 'Q4_0' }],
  [3, { name: 'Q4_1' }],
  [4, unread('Q4_2')],
  [5, unread('Q4_3')],
  [6, { name: 'Q5_0' }],
  [7, { name: 'Q5_1' }],
  [8, { name: 'Q8_0' }],
  [9, unread('Q8_1')], // for products while a model runs, never in files; its block has been 40 bytes and is 36
  [10, { name: 'Q2_K' }],
  [11, { name: 'Q3_K' }],
  [12, { name: 'Q4_K' }],
  [13, { name: 'Q5_K' }],
  [14, { name: 'Q6_K' }],
  [15, { name: 'Q8_K' }],
  [16, unread('IQ2_XXS', 256, 66)],
  [17, unread('IQ2_XS', 256, 74)],
  [18, unread('IQ3_XXS', 256, 98)],
  [19, unread('IQ1_S', 256, 50)],
  [20, { name: 'IQ4_NL' }],
  [21, unread('IQ3_S', 256, 110)],
  [22, unread('IQ2_S', 256, 82)],
  [23, { name: 'IQ4_XS' }],
  [24, { name: 'I8', dtype: 'int8' }],
  [25, { name: 'I16', dtype: 'int16' }],
  [26, { name: 'I32', dtype: 'int32' }],
  [27, { name: 'I64', dtype: 'int64' }],
  [28, { name: 'F64', dtype: 'float64' }],
  [29, unread('IQ1_M', 256, 56)],
  [30, { name: 'BF16', dtype: 'bfloat16' }],
  [31, unread('Q4_0_4_4')],
  [32, unread('Q4_0_4_8')],
  [33, unread('Q4_0_8_8')],
  [34, { name: 'TQ1_0' }],
  [35, { name: 'TQ2_0' }],
  [39, { name: 'MXFP4' }],
  [40, { name: 'NVFP4' }],
  [41, unread('Q1_0', 128, 18)],
]);

/** The element type of a number in a file; numbers of types that came later are named by themselves. */
export function elementTypeOf(number: number): ElementType {
  return TYPES.get(number) ?? { name: `number ${number}` };
}
