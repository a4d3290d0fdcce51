import { setImmediate } from 'node:timers/promises';
import type { Graph, Step } from './graph';
import type { Tensor, TensorFlow } from './load';

/** Longest stretch without letting messages in: a cancellation is heard within it and one layer's time. */
const TURN_MILLISECONDS = 50;

/** Values of a batch while it goes through the network. */
export interface Start {
  /** First step to run. */
  readonly step: number;
  /** The value it continues from; 0 is the network's input. */
  readonly value: number;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What is looked at on the way; both may wait. */
export interface Observer {
  /** Before a step is made. @param input its first input */
  readonly onStep?: (index: number, input: Tensor) => Promise<void> | void;
  /** Each value once it is there. */
  readonly onValue?: (value: number, tensor: Tensor) => void;
}

/** Runs a graph on batches, step by step, freeing every tensor after its last use. */
export class GraphRunner {
  private turn = performance.now();

  constructor(
    private readonly tf: TensorFlow,
    private readonly graph: Graph,
  ) {}

  /**
   * The network's outputs for one batch: values and shape, batch first.
   *
   * @throws the signal's reason, what the observer throws, and what TensorFlow.js refuses
   */
  async run(
    start: Start,
    signal: AbortSignal,
    observer: Observer = {},
  ): Promise<{ readonly values: Float32Array; readonly shape: readonly number[] }> {
    const alive = new Map<number, Tensor>();
    try {
      alive.set(start.value, this.tf.tensor(start.values, [...start.shape], 'float32'));
      for (let index = start.step; index < this.graph.steps.length; index++) {
        const step = this.graph.steps[index];
        if (step === undefined) break;
        await this.letMessagesIn(signal);
        const inputs = step.inputs.map((value) => valueOf(alive, value));
        const [input] = inputs;
        if (input !== undefined) await observer.onStep?.(index, input);
        const output = this.call(step, inputs);
        alive.set(step.output, output);
        observer.onValue?.(step.output, output);
        this.free(alive, step, index);
      }
      const output = valueOf(alive, this.graph.output);
      return { values: floats(output), shape: output.shape };
    } finally {
      for (const tensor of alive.values()) tensor.dispose();
    }
  }

  private call({ layer }: Step, inputs: readonly Tensor[]): Tensor {
    const [only] = inputs;
    return this.tf.tidy(() => {
      const given = inputs.length === 1 && only !== undefined ? only : [...inputs];
      const output = layer.apply(given, { training: false });
      // Concrete tensors in, a concrete tensor out: layers of several outputs are refused before.
      const tensor = (Array.isArray(output) ? output[0] : output) as Tensor;
      // Dropout hands its input on: as a tensor of its own it can be freed by itself.
      return inputs.includes(tensor) ? tensor.clone() : tensor;
    });
  }

  private free(alive: Map<number, Tensor>, step: Step, index: number): void {
    for (const value of new Set([...step.inputs, step.output])) {
      if ((this.graph.lastUse[value] ?? -1) > index) continue;
      alive.get(value)?.dispose();
      alive.delete(value);
    }
  }

  private async letMessagesIn(signal: AbortSignal): Promise<void> {
    if (performance.now() - this.turn > TURN_MILLISECONDS) {
      await setImmediate();
      this.turn = performance.now();
    }
    signal.throwIfAborted();
  }
}

/** A copy of a tensor's values as float32. */
export function floats(tensor: Tensor): Float32Array {
  return new Float32Array(tensor.dataSync<'float32'>());
}

function valueOf(alive: ReadonlyMap<number, Tensor>, value: number): Tensor {
  const tensor = alive.get(value);
  if (tensor === undefined) throw new Error('the model uses a value before it is computed');
  return tensor;
}
