/** What a network is trained for: the data in batches, the loss, and the number that says how well it does. */
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import type { Tf } from '../../network/builtin/architecture';

/** An array of a batch, the batch's axis first. */
export interface BatchArray {
  readonly values: Float32Array | Int32Array;
  readonly shape: readonly number[];
}

export type Batch = readonly BatchArray[];

export type MetricName = 'accuracy' | 'psnr' | 'iou' | 'perplexity';

export interface Metric {
  readonly name: MetricName;
  /** perplexity: lower is better. */
  readonly higherIsBetter: boolean;
}

export interface TaskEvaluation {
  /** In the metric's unit: accuracy and IoU in percent, PSNR in dB. */
  readonly value: number;
  readonly loss: number;
  readonly samples: number;
}

/** The network with its values of now. */
export type Run = (input: Tensor) => Tensor;

export interface Task {
  readonly metric: Metric;
  /** Samples of an epoch: pictures, points of the grid, rays, windows of text. */
  readonly samples: number;
  /** Names the data by its content and the settings that decide batches: hex. */
  readonly identity: string;
  /** Things a person should know. */
  readonly notes: readonly string[];
  /**
   * The batch of a step, counted from 0 over all epochs: a function of step, size and seed alone, so that a resumed run
   * sees what it would have seen. Each epoch is a permutation of the samples. May be called ahead of its turn.
   *
   * @throws CheckpointError naming file and place; the signal's reason
   */
  batch(step: number, size: number, seed: number, signal: AbortSignal): Promise<Batch>;
  /** Mean loss over a batch, within `tidy` and under the gradient. @param batch the arrays of `batch`, as tensors */
  loss(tf: Tf, run: Run, batch: readonly Tensor[]): Scalar;
  /** Over the validation data; `run` is not in training. */
  evaluate(
    tf: Tf,
    run: Run,
    signal: AbortSignal,
    onFraction?: (fraction: number) => void,
  ): Promise<TaskEvaluation>;
  /** Inputs on which the layers are looked at: as the network takes them, at most `most` samples. The same every time. */
  inputs(most: number, signal: AbortSignal): Promise<Batch>;
  dispose(): Promise<void>;
}
