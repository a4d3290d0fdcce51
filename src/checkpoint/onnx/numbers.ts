/** Values of small constants that a model's structure depends on: shapes, scales, zero points. */
import { elementCount } from '../checkpoint';
import { isFloating } from '../dtype';
import { decodeElements } from '../elements';
import { FileDescriptors, readTensorBytesSync } from '../tensorData';
import type { OnnxTensor } from './tensor';

/** Over a whole model, 16 bytes each once decoded: a scale a channel, or a block, of the largest quantised models. */
const MAX_NUMBERS = 4_000_000;

/** Reads constants once each; close it when the model has been looked at. */
export class NumberReader {
  private readonly files = new FileDescriptors();
  private readonly known = new Map<OnnxTensor, readonly number[]>();
  private left = MAX_NUMBERS;

  /** Integers beyond 2^53 are rounded. Undefined: no tensor, no real numbers, or too many of them. */
  read(tensor: OnnxTensor | undefined): readonly number[] | undefined {
    const stored = tensor?.tensor;
    if (tensor === undefined || stored === undefined) return undefined;
    const known = this.known.get(tensor);
    if (known !== undefined) return known;
    const count = elementCount(stored.shape);
    if (count > this.left) return undefined;
    const { dtype } = stored;
    if (!isFloating(dtype) && !Object.hasOwn(INTEGERS, dtype)) return undefined;
    this.left -= count;
    const bytes = readTensorBytesSync(stored, this.files);
    const values = isFloating(dtype) ? [...decodeElements(bytes, dtype)] : integersOf(bytes, dtype);
    this.known.set(tensor, values);
    return values;
  }

  close(): void {
    this.files.closeAll();
  }
}

const INTEGERS: Readonly<Record<string, (view: DataView, at: number) => number>> = {
  int8: (view, at) => view.getInt8(at),
  uint8: (view, at) => view.getUint8(at),
  int16: (view, at) => view.getInt16(at, true),
  uint16: (view, at) => view.getUint16(at, true),
  int32: (view, at) => view.getInt32(at, true),
  uint32: (view, at) => view.getUint32(at, true),
  int64: (view, at) => Number(view.getBigInt64(at, true)),
};

function integersOf(bytes: Uint8Array, dtype: string): number[] {
  const read = INTEGERS[dtype];
  const width = dtype.endsWith('64') ? 8 : dtype.endsWith('32') ? 4 : dtype.endsWith('16') ? 2 : 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / width }, (_, i) => read?.(view, i * width) ?? NaN);
}
