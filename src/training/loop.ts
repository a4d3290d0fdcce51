/** The training loop: batches in, steps, evaluations and checkpoints, until the last step or until it is told to stop. */
import { setImmediate } from 'node:timers/promises';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Tf } from '../network/builtin/architecture';
import type { TrainedModel } from './model';
import type { Optimizer } from './optimizer';
import { rateFactor } from './schedule';
import type { ResolvedTraining } from './recipe';
import type { RunEvent } from './run/run';
import type { Batch, Task } from './tasks/task';
import type { TrainPosition } from './trainState';

/** A loss this many times that of the beginning has left for good. */
const DIVERGED = 1000;

/** Seconds between two events while nothing else happens. */
const REPORT_SECONDS = 1;

/** Batches on their way, so that reading does not wait for computing. */
const AHEAD = 3;

export interface LoopOptions {
  readonly tf: Tf;
  readonly model: TrainedModel;
  readonly optimizer: Optimizer;
  readonly task: Task;
  readonly training: ResolvedTraining;
  /** Steps of the whole run, and of an epoch. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly evaluateEvery: number;
  readonly start: TrainPosition;
  /** Ends everything at once, with its reason. */
  readonly signal: AbortSignal;
  /** Somebody wants it to stop after this step, with a checkpoint. */
  readonly shouldStop: () => boolean;
  readonly onEvents: (events: readonly RunEvent[], position: TrainPosition) => void;
  /** Keeps all that is needed to go on. @returns false when there are weights that are not finite: nothing is kept then */
  readonly save: (position: TrainPosition) => Promise<boolean>;
  /** The evaluation just made is the best one so far. */
  readonly onBest?: ((position: TrainPosition) => Promise<void>) | undefined;
  /** Looks at the layers. */
  readonly look?: ((step: number, epoch: number) => Promise<RunEvent | undefined>) | undefined;
}

export type LoopEnd =
  | { readonly kind: 'done' | 'stopped'; readonly position: TrainPosition }
  | { readonly kind: 'diverged'; readonly position: TrainPosition; readonly message: string };

/** @throws the signal's reason; what the data or the backend fails with */
export async function trainLoop(options: LoopOptions): Promise<LoopEnd> {
  const loop = new Loop(options);
  try {
    return await loop.run();
  } finally {
    loop.dispose();
  }
}

class Loop {
  private step: number;
  private seconds: number;
  private best: TrainPosition['best'];
  private firstLoss: number | undefined;
  /** Of the losses since the last report. */
  private sum: Tensor;
  private summed = 0;
  private since = performance.now();
  private stepsReported: number;
  private savedAt = performance.now();
  private readonly ahead = new Map<number, Promise<Batch>>();
  private lastLook: { readonly at: number; readonly took: number } | undefined;

  constructor(private readonly options: LoopOptions) {
    const { step, seconds, best, firstLoss } = options.start;
    this.step = step;
    this.stepsReported = step;
    this.seconds = seconds;
    this.best = best;
    this.firstLoss = firstLoss;
    this.sum = this.zero();
  }

  async run(): Promise<LoopEnd> {
    const { steps, shouldStop, signal, evaluateEvery } = this.options;
    if (this.step === 0) await this.evaluate();
    while (this.step < steps) {
      signal.throwIfAborted();
      if (shouldStop()) return await this.end('stopped');
      await this.makeStep();
      // Messages, signals and the files of the run get their turn.
      await setImmediate();
      const isEvaluated = this.step % evaluateEvery === 0 || this.step === steps;
      if (isEvaluated || this.isDue()) {
        const lost = await this.report();
        if (lost !== undefined) return this.diverged(lost);
      }
      if (isEvaluated) await this.evaluate();
      if (this.step < steps && this.isCheckpointDue()) {
        const end = await this.save();
        if (end !== undefined) return end;
      }
    }
    return await this.end('done');
  }

  dispose(): void {
    this.sum.dispose();
    // Nobody waits for them any more; what they fail with is nobody's.
    for (const batch of this.ahead.values()) batch.catch(() => undefined);
  }

  private get position(): TrainPosition {
    const { step, seconds, best, firstLoss } = this;
    return {
      step,
      seconds,
      ...(best !== undefined && { best }),
      ...(firstLoss !== undefined && { firstLoss }),
    };
  }

  private get epoch(): number {
    return this.step / this.options.stepsPerEpoch;
  }

  private zero(): Tensor {
    const { tf } = this.options;
    return tf.keep(tf.scalar(0));
  }

  private async makeStep(): Promise<void> {
    const began = performance.now();
    const { tf, model, optimizer, task, training, steps, stepsPerEpoch } = this.options;
    const { step } = this;
    const batch = await this.batch(step);
    const rate = training.optimizer.learningRate * rateFactor(training.schedule, step, steps, stepsPerEpoch);
    const tensors = batch.map(({ values, shape }) => tf.tensor(values, [...shape], dtypeOf(values)));
    try {
      tf.tidy(() => {
        const { loss, gradients } = model.gradients(
          (run) => task.loss(tf, run, tensors),
          passSeed(training.seed, step),
        );
        optimizer.apply(clipped(tf, gradients, training.clipNorm), rate, step);
        model.followAverage();
        const sum = tf.keep(tf.add(this.sum, loss));
        this.sum.dispose();
        this.sum = sum;
      });
    } finally {
      tf.dispose(tensors);
    }
    this.summed++;
    this.step++;
    this.seconds += (performance.now() - began) / 1000;
  }

  private async batch(step: number): Promise<Batch> {
    const { task, training, signal, steps } = this.options;
    for (let next = step; next < Math.min(steps, step + AHEAD); next++) {
      if (this.ahead.has(next)) continue;
      const batch = task.batch(next, training.batchSize, training.seed, signal);
      // It may fail before its turn; it is told when it comes.
      batch.catch(() => undefined);
      this.ahead.set(next, batch);
    }
    const batch = this.ahead.get(step);
    this.ahead.delete(step);
    if (batch === undefined) throw new RangeError(`no batch for step ${step}`);
    return batch;
  }

  private isDue(): boolean {
    return performance.now() - this.since >= REPORT_SECONDS * 1000;
  }

  private isCheckpointDue(): boolean {
    return performance.now() - this.savedAt >= this.options.training.checkpointMinutes * 60_000;
  }

  /** Tells the mean loss since the last time. @returns why the run has diverged, if it has */
  private async report(): Promise<string | undefined> {
    if (this.summed === 0) return undefined;
    const { training, steps, stepsPerEpoch, onEvents } = this.options;
    const began = performance.now();
    const [total = NaN] = await this.sum.data();
    // The device has worked all the while that nothing was asked of it.
    this.seconds += (performance.now() - began) / 1000;
    const loss = total / this.summed;
    const passed = (performance.now() - this.since) / 1000;
    const samples = (this.step - this.stepsReported) * training.batchSize;
    this.sum.dispose();
    this.sum = this.zero();
    this.summed = 0;
    this.since = performance.now();
    this.stepsReported = this.step;
    const rate =
      training.optimizer.learningRate *
      rateFactor(training.schedule, Math.max(0, this.step - 1), steps, stepsPerEpoch);
    const event: RunEvent = {
      kind: 'train',
      step: this.step,
      epoch: this.epoch,
      ...(Number.isFinite(loss) && { loss }),
      learningRate: rate,
      samplesPerSecond: samples / Math.max(passed, 1e-9),
      seconds: this.seconds,
    };
    onEvents([event], this.position);
    if (!Number.isFinite(loss)) return `the loss is ${Number.isNaN(loss) ? 'not a number' : 'infinite'}`;
    this.firstLoss ??= loss;
    const limit = DIVERGED * Math.max(this.firstLoss, Number.MIN_VALUE);
    return loss > limit ? `the loss grew from ${this.firstLoss} to ${loss}` : undefined;
  }

  private async evaluate(): Promise<void> {
    const { tf, model, task, signal, onEvents, onBest } = this.options;
    const { name, higherIsBetter } = task.metric;
    const { value, loss } = await task.evaluate(tf, model.evaluated, signal);
    const isBetter =
      Number.isFinite(value) &&
      (this.best === undefined || (higherIsBetter ? value > this.best.value : value < this.best.value));
    if (isBetter) this.best = { value, step: this.step };
    const { step, epoch, seconds } = this;
    onEvents(
      [{ kind: 'evaluation', step, epoch, metric: name, higherIsBetter, value, loss, seconds }],
      this.position,
    );
    if (isBetter) await onBest?.(this.position);
    await this.look();
    this.since = performance.now();
    this.stepsReported = this.step;
  }

  /** At most a tenth of the time goes into looking; the first and the last step are always looked at. */
  private async look(): Promise<void> {
    const { look, onEvents, steps } = this.options;
    if (look === undefined) return;
    const began = performance.now();
    const { lastLook, step } = this;
    const isTooSoon = lastLook !== undefined && began - lastLook.at < 9 * lastLook.took;
    if (isTooSoon && step > 0 && step < steps) return;
    const event = await look(step, this.epoch);
    const ended = performance.now();
    this.lastLook = { at: ended, took: ended - began };
    if (event !== undefined) onEvents([event], this.position);
  }

  /** A checkpoint, after making sure that it is a good one. @returns the end, if the run has diverged */
  private async save(): Promise<LoopEnd | undefined> {
    const lost = await this.report();
    if (lost !== undefined) return this.diverged(lost);
    if (!(await this.options.save(this.position))) return this.diverged('weights are not finite');
    this.savedAt = performance.now();
    return undefined;
  }

  private async end(kind: 'done' | 'stopped'): Promise<LoopEnd> {
    return (await this.save()) ?? { kind, position: this.position };
  }

  private diverged(message: string): LoopEnd {
    return { kind: 'diverged', position: this.position, message: `${message} at step ${this.step}` };
  }
}

function dtypeOf(values: Float32Array | Int32Array): 'float32' | 'int32' {
  return values instanceof Int32Array ? 'int32' : 'float32';
}

/** Another one each step, a whole number of 32 bits. */
function passSeed(seed: number, step: number): number {
  return (Math.imul(seed, 0x9e3779b1) + step) >>> 0;
}

/** All gradients by one factor, so that their common norm is at most the limit (Pascanu et al., 2013, algorithm 1). */
export function clipped(
  tf: Tf,
  gradients: Record<string, Tensor>,
  limit: number | undefined,
): Record<string, Tensor> {
  if (limit === undefined) return gradients;
  const squares = Object.values(gradients).map((gradient) => tf.sum(tf.square(gradient)));
  const norm = tf.sqrt(tf.addN(squares));
  const factor = tf.minimum(1, tf.div(limit, tf.maximum(norm, 1e-12)));
  return Object.fromEntries(
    Object.entries(gradients).map(([name, gradient]) => [name, tf.mul(gradient, factor)]),
  );
}
