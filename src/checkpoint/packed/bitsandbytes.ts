import { elementCount, type Tensor } from '../checkpoint';
import type { Bitsandbytes4 } from '../decoders/bitsandbytes4';
import { bytesPerElement, type DType } from '../dtype';
import { requireShape } from '../layout';
import { asCount, member, parseObject } from './config';
import {
  type PackedWeight,
  type Surroundings,
  companion,
  decodedWeight,
  leave,
  optionalCompanion,
  prefixBefore,
  requireSizes,
  requireType,
} from './scheme';

/** Forms whose table stands beside the weight, so that nothing needs to be known of it. */
const FORMS = ['nf4', 'fp4'] as const;
/** The state is a line of JSON of about 200 bytes. */
const MAX_STATE_BYTES = 4096;

const FLOAT32: ReadonlySet<DType> = new Set<DType>(['float32']);
const BYTES: ReadonlySet<DType> = new Set<DType>(['uint8']);
const INT8: ReadonlySet<DType> = new Set<DType>(['int8']);

/** Magnitudes of rows stand for 127. */
const INT8_LARGEST = 127;

/**
 * bitsandbytes' 4-bit weights: packed bytes (in whatever type holds them) beside `absmax`, `quant_map`, where the
 * magnitudes are quantised too `nested_absmax` and `nested_quant_map`, and JSON with shape and block sizes.
 */
export function bitsandbytes4Weight(tensor: Tensor, around: Surroundings): PackedWeight | undefined {
  const { name } = tensor;
  const form = FORMS.find((one) => around.find(stateName(name, one)) !== undefined);
  if (form === undefined) return undefined;
  const stateTensor = companion(stateName(name, form), BYTES, around);
  const state = parseState(around.readSmall(stateTensor, MAX_STATE_BYTES));
  const elements = elementCount(state.shape);
  if (elementCount(tensor.shape) * bytesPerElement(tensor.dtype) !== Math.ceil(elements / 2))
    throw leave(`that states a shape of [${state.shape.join(', ')}], not of its bytes`);
  const { blockSize, nested } = state;
  const blocks = Math.ceil(elements / blockSize);
  const table = companion(`${name}.quant_map`, FLOAT32, around);
  const absmax = companion(`${name}.absmax`, nested === undefined ? FLOAT32 : BYTES, around);
  requireSizes(table, [16]);
  requireSizes(absmax, [blocks]);
  const sources = [tensor, table, absmax];
  if (nested !== undefined) {
    const nestedTable = companion(`${name}.nested_quant_map`, FLOAT32, around);
    const nestedAbsmax = companion(`${name}.nested_absmax`, FLOAT32, around);
    requireSizes(nestedTable, [256]);
    requireSizes(nestedAbsmax, [Math.ceil(blocks / nested.blockSize)]);
    sources.push(nestedTable, nestedAbsmax);
  }
  const decoder: Bitsandbytes4 = {
    kind: 'bitsandbytes-4bit',
    elements,
    blockSize,
    ...(nested !== undefined && { nested }),
  };
  return {
    weight: decodedWeight(name, state.shape, decoder, sources),
    parts: [...sources, stateTensor],
    form: `4-bit bitsandbytes (${form}, blocks of ${blockSize})`,
  };
}

function stateName(weight: string, form: (typeof FORMS)[number]): string {
  return `${weight}.quant_state.bitsandbytes__${form}`;
}

interface State {
  readonly shape: readonly number[];
  readonly blockSize: number;
  readonly nested?: NonNullable<Bitsandbytes4['nested']>;
}

/** @throws CheckpointError when it lacks something */
function parseState(text: Uint8Array): State {
  const state = parseObject(text);
  const sizes = member(state, 'shape');
  if (!Array.isArray(sizes) || sizes.length === 0) throw leave('whose state has no shape');
  const shape = requireShape(sizes, 4);
  if (shape.includes(0)) throw leave('whose state has an empty shape');
  const blockSize = asCount(member(state, 'blocksize'));
  if (blockSize === undefined || blockSize % 2 === 1) throw leave('whose state has no even block size');
  if (member(state, 'nested_blocksize') === undefined) return { shape, blockSize };
  const nestedSize = asCount(member(state, 'nested_blocksize'));
  const offset = member(state, 'nested_offset');
  if (nestedSize === undefined || typeof offset !== 'number' || !Number.isFinite(offset))
    throw leave('whose state has no nested block size and offset');
  return { shape, blockSize, nested: { blockSize: nestedSize, offset } };
}

/** bitsandbytes' LLM.int8 weights: `weight` (rows × columns, int8) and `SCB`, the largest magnitude of each row. */
export function bitsandbytes8Weight(tensor: Tensor, around: Surroundings): PackedWeight | undefined {
  const prefix = prefixBefore(tensor.name, 'weight');
  if (prefix === undefined || around.find(`${prefix}SCB`) === undefined) return undefined;
  requireType(tensor, INT8);
  const scales = companion(`${prefix}SCB`, FLOAT32, around);
  const format = optionalCompanion(`${prefix}weight_format`, BYTES, around);
  const [rows = 0] = tensor.shape;
  const columns = elementCount(tensor.shape) / rows;
  if (!(columns > 0)) throw leave(`of shape [${tensor.shape.join(', ')}]`);
  requireSizes(scales, [rows]);
  // Other numbers are the arrangements of one generation of hardware each.
  if (format !== undefined && around.readSmall(format, 1).some((code) => code !== 0))
    throw leave('in an arrangement of its columns for some hardware');
  const decoder = {
    kind: 'block-scaled',
    stored: 'int8',
    rows,
    columns,
    blockRows: 1,
    blockColumns: columns,
    scales: 'float32',
    divisor: INT8_LARGEST,
  } as const;
  const sources = [tensor, scales];
  return {
    weight: decodedWeight(tensor.name, tensor.shape, decoder, sources),
    parts: format === undefined ? sources : [...sources, format],
    form: '8-bit bitsandbytes (a scale a row)',
  };
}
