import { elementCount, type Tensor } from '../../checkpoint/checkpoint';
import { isFloating } from '../../checkpoint/dtype';
import { CheckpointError } from '../../checkpoint/errors';
import { readNumbers } from './numberArray';

/** Classes are counted by 31 bits. */
const MAX_CLASS = 2 ** 31 - 1;

export interface Labels {
  readonly labels: Int32Array;
  readonly notes: readonly string[];
}

/** Whether an array can hold the labels of so many samples: one whole number each, or one-hot rows. */
export function couldBeLabels({ shape }: Tensor, samples: number): boolean {
  return shape[0] === samples && shape.length <= 2;
}

/**
 * Classes of `samples` samples: whole numbers N or N × 1, or one-hot rows N × classes.
 *
 * @throws CheckpointError naming file and array, and the first sample that has no class
 */
export async function readLabels(tensor: Tensor, samples: number): Promise<Labels> {
  const fail = (reason: string): CheckpointError =>
    new CheckpointError('malformed', reason, { file: tensor.storage.path, tensor: tensor.name });
  const { shape } = tensor;
  const [count = 0, width = 1] = shape;
  if (shape.length === 0 || shape.length > 2)
    throw fail(`labels of shape [${shape.join(', ')}]: one number a sample, or one-hot rows, are read`);
  if (count !== samples) throw fail(`${count} labels for ${samples} samples`);
  const values = await readNumbers(tensor);
  if (width > 1) {
    const note = `"${tensor.name}" has one-hot labels: the class is the place of the 1`;
    return { labels: oneHotClasses(values, samples, width, fail), notes: [note] };
  }
  if (elementCount(shape) !== samples) throw fail('labels without a number');
  values.forEach((value, i) => {
    if (Number.isInteger(value) && value >= 0 && value <= MAX_CLASS) return;
    const what = isFloating(tensor.dtype) ? 'a class as a whole number' : 'a class from 0';
    throw fail(`the label of sample ${i} is ${value}, not ${what}`);
  });
  return { labels: Int32Array.from(values), notes: [] };
}

function oneHotClasses(
  values: Float64Array,
  samples: number,
  classes: number,
  fail: (reason: string) => CheckpointError,
): Int32Array {
  return Int32Array.from({ length: samples }, (_, sample) => {
    const row = values.subarray(sample * classes, (sample + 1) * classes);
    const found = row.indexOf(1);
    const isOneHot = found >= 0 && row.every((value, i) => value === (i === found ? 1 : 0));
    if (!isOneHot) throw fail(`the label of sample ${sample} is no one-hot row of zeros and a single 1`);
    return found;
  });
}
