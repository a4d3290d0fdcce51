/** Pictures or vectors with one class each: softmax cross-entropy and accuracy. */
import { createHash } from 'node:crypto';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import { CheckpointError } from '../../checkpoint/errors';
import type { Tf } from '../../network/builtin/architecture';
import type { Dataset } from '../../network/data/dataset';
import { openDataset } from '../../network/data/openDataset';
import { Pauses } from '../../network/data/pauses';
import type { ResolvedData } from '../../network/recipe';
import { Augmentation } from './augment';
import { withTrainingArrays } from './trainingArrays';
import { addRows, crossEntropy, type RowSums } from './crossEntropy';
import { evenIndices, outputsOf } from './evaluation';
import { holdSamples, type HeldSamples } from './heldSamples';
import { EpochOrder } from './permutation';
import type { ClassificationData } from './recipe';
import { DEFAULT_BATCH, requireNetwork, type TaskOptions } from './settings';
import type { Batch, Run, Task, TaskEvaluation } from './task';

/** Samples that have classes. */
type Classified = Dataset & { readonly labels: Int32Array };

/** @throws CheckpointError with one line that names the file; the signal's reason */
export async function openClassification(data: ClassificationData, options: TaskOptions): Promise<Task> {
  const { signal, onFraction } = options;
  const { train, validation } = await openBoth(data, options.network.input, signal);
  try {
    const [file = ''] = data.train.path;
    const classes = classesOf(train, validation);
    if (options.network.output.length !== 1 || (options.network.output[0] ?? 0) < classes)
      requireNetwork(options.network, { output: [classes] }, `data of ${classes} classes`, file);
    const augmentation = augmentationOf(options, train.shape, file);
    const samples = await holdSamples(train, signal, onFraction);
    return new Classification(train, samples, validation, augmentation, options);
  } catch (error) {
    await Promise.all([train.dispose(), validation.dispose()]);
    throw error;
  }
}

/** Classes of both parts: one more than the largest label. */
export function classesOf(...parts: readonly Classified[]): number {
  return parts.reduce((most, { labels }) => labels.reduce((a, b) => Math.max(a, b + 1), most), 0);
}

/** @param input of the network; absent: samples stay as the files lay them out */
export async function openBoth(
  data: ClassificationData,
  input: readonly number[] | undefined,
  signal: AbortSignal,
): Promise<{ readonly train: Classified; readonly validation: Classified }> {
  const shape = input === undefined ? undefined : ({ shape: input, layout: 'hwc' } as const);
  const train = await openDataset(await withTrainingArrays(data.train), shape, signal);
  try {
    const validation = await openDataset(data.validation, shape, signal);
    try {
      return {
        train: withClasses(train, data.train),
        validation: withClasses(validation, data.validation),
      };
    } catch (error) {
      await validation.dispose();
      throw error;
    }
  } catch (error) {
    await train.dispose();
    throw error;
  }
}

function withClasses(dataset: Dataset, { path: [file = ''] }: ResolvedData): Classified {
  const { labels } = dataset;
  if (labels !== undefined) return { ...dataset, labels };
  const reason = 'samples without classes: name their labels in the recipe ("labels")';
  throw new CheckpointError('malformed', reason, { file });
}

function augmentationOf(
  { augment }: TaskOptions,
  shape: readonly number[],
  file: string,
): Augmentation | undefined {
  if (augment === undefined || (augment.flip !== true && (augment.crop ?? 0) === 0)) return undefined;
  const [height, width, channels] = shape;
  if (height !== undefined && width !== undefined && channels !== undefined && shape.length === 3)
    return new Augmentation(augment, [height, width, channels]);
  const reason = `"augment" is for pictures, and these samples are [${shape.join(', ')}] for the network`;
  throw new CheckpointError('unsupported', reason, { file });
}

class Classification implements Task {
  readonly metric = { name: 'accuracy', higherIsBetter: true } as const;
  readonly samples: number;
  readonly identity: string;
  readonly notes: readonly string[];
  private order: EpochOrder;

  constructor(
    private readonly train: Classified,
    private readonly held: HeldSamples,
    private readonly validation: Classified,
    private readonly augmentation: Augmentation | undefined,
    private readonly options: TaskOptions,
  ) {
    this.samples = train.samples;
    this.order = new EpochOrder(train.samples, 0);
    const { augment = {}, labelSmoothing = 0 } = options;
    const settings = { flip: augment.flip ?? false, crop: augment.crop ?? 0, labelSmoothing };
    this.identity = createHash('sha256')
      .update(JSON.stringify(['classification', train.identity, validation.identity, settings]))
      .digest('hex');
    const isSame = train.identity === validation.identity;
    this.notes = [
      ...new Set([...train.notes, ...validation.notes]),
      ...(isSame ? ['validation is on the very samples of training'] : []),
    ];
  }

  async batch(step: number, size: number, seed: number, signal: AbortSignal): Promise<Batch> {
    if (this.order.seed !== seed) this.order = new EpochOrder(this.samples, seed);
    const { order } = this;
    const indices = Float64Array.from({ length: size }, (_, i) => order.sampleAt(step * size + i));
    const values = await this.held.gather(indices, signal);
    if (this.augmentation !== undefined) await this.augment(values, step * size, order, signal);
    const labels = Int32Array.from(indices, (index) => this.train.labels[index] ?? 0);
    return [
      { values, shape: [size, ...this.train.shape] },
      { values: labels, shape: [size] },
    ];
  }

  loss(tf: Tf, run: Run, [input, labels]: readonly Tensor[]): Scalar {
    if (input === undefined || labels === undefined) throw new Error('a batch without its labels');
    return tf.mean(crossEntropy(tf, run(input), labels, this.options.labelSmoothing));
  }

  async evaluate(
    tf: Tf,
    run: Run,
    signal: AbortSignal,
    onFraction?: (fraction: number) => void,
  ): Promise<TaskEvaluation> {
    const { samples, shape, labels } = this.validation;
    const size = this.options.batchSize ?? DEFAULT_BATCH;
    const sums: RowSums = { rows: 0, right: 0, loss: 0 };
    for (let from = 0; from < samples; from += size) {
      const to = Math.min(samples, from + size);
      const values = await this.validation.read(from, to);
      const logits = await outputsOf(tf, run, { values, shape: [to - from, ...shape] }, signal);
      addRows(sums, logits, labels.subarray(from, to));
      onFraction?.(to / samples);
    }
    return { value: (100 * sums.right) / sums.rows, loss: sums.loss / sums.rows, samples: sums.rows };
  }

  async inputs(most: number, signal: AbortSignal): Promise<Batch> {
    const indices = evenIndices(this.samples, most);
    const values = await this.held.gather(indices, signal);
    return [{ values, shape: [indices.length, ...this.train.shape] }];
  }

  async dispose(): Promise<void> {
    await Promise.all([this.held.dispose(), this.validation.dispose()]);
  }

  private async augment(
    values: Float32Array,
    first: number,
    order: EpochOrder,
    signal: AbortSignal,
  ): Promise<void> {
    const size = this.train.shape.reduce((product, length) => product * length, 1);
    const pauses = new Pauses(signal);
    for (let i = 0; i * size < values.length; i++) {
      if (pauses.isDue) await pauses.pause();
      const { epoch, place } = order.placeOf(first + i);
      this.augmentation?.apply(values.subarray(i * size, (i + 1) * size), order.seed, epoch, place);
    }
  }
}
