import type { Tensor } from 'onnxruntime-common';
import type { Dataset } from '../data/dataset';
import { type NetworkInput, inputTensor } from './networkInput';
import type { OnnxRuntime } from './runtime';

/** Samples of a data set in runs of one size. */
export interface Batches {
  readonly count: number;
  /** Samples of one run. */
  readonly size: number;
  /** Samples that count in a run: fewer in the last one. */
  valid(index: number): number;
  /** The input of a run. A network of a fixed batch gets the last one filled up with its last sample. */
  read(index: number): Promise<Tensor>;
}

/** @param shape of one sample, as the network takes it. */
export function batchesOf(
  runtime: OnnxRuntime,
  input: NetworkInput,
  data: Dataset,
  shape: readonly number[],
  size: number,
): Batches {
  const perSample = shape.reduce((a, b) => a * b, 1);
  const valid = (index: number): number => Math.max(0, Math.min(size, data.samples - index * size));
  return {
    count: Math.ceil(data.samples / size),
    size,
    valid,
    async read(index) {
      const samples = valid(index);
      let values = await data.read(index * size, index * size + samples);
      if (values.length !== samples * perSample)
        throw new Error(`the data gave ${values.length} values for ${samples} samples of ${perSample}`);
      const isFilledUp = input.fixedBatch !== undefined && samples < size;
      if (isFilledUp) {
        const full = new Float32Array(size * perSample);
        full.set(values);
        for (let i = samples; i < size; i++)
          full.set(values.subarray((samples - 1) * perSample, samples * perSample), i * perSample);
        values = full;
      }
      return inputTensor(runtime.Tensor, input, values, [isFilledUp ? size : samples, ...shape]);
    },
  };
}
