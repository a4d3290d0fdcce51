import { type ModuleHint, type Tensor, type UnreadableTensor, elementCount } from '../checkpoint';
import type { Affine } from '../decoders/affine';
import { type DType, bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import { requireShape } from '../layout';
import { roleInStateDict } from '../roles';
import type { WeightSpec } from './manifest';
import type { GroupBytes } from './shards';

/** Each text's length is read by itself; vocabularies have some ten thousand words. */
const MAX_TEXTS = 100_000;

const DTYPES: ReadonlyMap<string, DType> = new Map<string, DType>([
  ['float32', 'float32'],
  ['float16', 'float16'],
  ['int32', 'int32'],
  ['uint8', 'uint8'],
  ['uint16', 'uint16'],
  ['bool', 'bool'],
  ['complex64', 'complex64'],
]);

/** A weight, and how many bytes of its group it takes. */
export interface FoundWeight {
  readonly tensor?: Tensor;
  readonly unreadable?: UnreadableTensor;
  readonly byteLength: number;
}

/**
 * A weight at a place of its group's bytes.
 *
 * @throws CheckpointError naming the weight: sizes beyond the files, types of unknown size, scales that are no numbers
 */
export async function findWeight(
  spec: WeightSpec,
  bytes: GroupBytes,
  begin: number,
  module: ModuleHint | undefined,
): Promise<FoundWeight> {
  const { name, dtype, quantization } = spec;
  if (dtype === 'string' && quantization === undefined) return findTexts(spec, bytes, begin);
  const stored = DTYPES.get(quantization?.dtype ?? dtype);
  const wanted = DTYPES.get(dtype);
  if (stored === undefined || wanted === undefined)
    throw new CheckpointError('unsupported', `elements of type ${quantization?.dtype ?? dtype}`);
  // Values of the type they are given in are the larger ones.
  const shape = requireShape(spec.shape, Math.max(bytesPerElement(stored), bytesPerElement(wanted)));
  const byteLength = elementCount(shape) * bytesPerElement(stored);
  if (begin + byteLength > bytes.size) {
    const reason = `needs ${byteLength} bytes, but its weight files have ${bytes.size - begin} left`;
    throw new CheckpointError('malformed', reason);
  }
  const storage = bytes.storage(begin, byteLength);
  const facts = { name, shape, role: roleInStateDict(name, shape), ...(module !== undefined && { module }) };
  if (quantization === undefined || stored === 'float16')
    return { tensor: { ...facts, dtype: stored, storage }, byteLength };
  const decoder = affine(quantization, stored, elementCount(shape));
  if (wanted !== 'float32') {
    const reason = `its ${dtype} values are quantised`;
    return { unreadable: { name, shape, dtype, reason }, byteLength };
  }
  const source: Tensor = { name, shape, dtype: stored, storage, role: 'model' };
  const decoded = {
    encoding: 'decoded',
    path: storage.path,
    sources: [source],
    decoder,
    byteLength: 4 * elementCount(shape),
  } as const;
  return { tensor: { ...facts, dtype: 'float32', storage: decoded }, byteLength };
}

/** x = q·scale + min, one pair for all. */
function affine(
  { dtype, scale, min }: NonNullable<WeightSpec['quantization']>,
  stored: DType,
  elements: number,
): Affine {
  if (stored !== 'uint8' && stored !== 'uint16')
    throw new CheckpointError('unsupported', `values quantised to ${dtype}`);
  if (scale === undefined || min === undefined || !Number.isFinite(scale) || !Number.isFinite(min))
    throw new CheckpointError('malformed', 'is quantised without a scale and a minimum');
  return { kind: 'affine', stored, scales: [scale], offsets: [min], run: Math.max(1, elements) };
}

async function findTexts(
  { name, shape, dtype }: WeightSpec,
  bytes: GroupBytes,
  begin: number,
): Promise<FoundWeight> {
  const count = elementCount(requireShape(shape, 4));
  if (count > MAX_TEXTS) throw new CheckpointError('unsupported', `${count} texts`);
  const byteLength = await bytes.textBytes(begin, count);
  return { unreadable: { name, shape, dtype, reason: 'it holds text, not numbers' }, byteLength };
}
