/** What all evaluations have in common: batches through the network, outputs back, messages let in between. */
import { setImmediate } from 'node:timers/promises';
import type { Tf } from '../../network/builtin/architecture';
import type { BatchArray, Run } from './task';

/** The network's outputs for one input, and an ear for cancellation. @throws the signal's reason */
export async function outputsOf(
  tf: Tf,
  run: Run,
  { values, shape }: BatchArray,
  signal: AbortSignal,
): Promise<Float32Array> {
  const type = values instanceof Int32Array ? 'int32' : 'float32';
  const output = tf.tidy(() => run(tf.tensor(values, [...shape], type)));
  try {
    // Networks give float32.
    const result = (await output.data()) as Float32Array;
    await setImmediate();
    signal.throwIfAborted();
    return result;
  } finally {
    output.dispose();
  }
}

/** `count` whole numbers evenly spread over 0 … from − 1, or all of them when there are no more. */
export function evenIndices(from: number, count: number): Int32Array {
  const taken = Math.min(from, count);
  return Int32Array.from({ length: taken }, (_, i) => Math.floor(((i + 0.5) * from) / taken));
}
