import { elementCount } from '../../checkpoint/checkpoint';
import type { Architecture } from './architecture';
import { arraysOf } from './weight';

/** Numbers that a network is made of; running statistics are none of its parameters. */
export interface ParameterCount {
  /** Those that training changes. */
  readonly trained: number;
  /** With frozen ones. */
  readonly total: number;
  /** Of the same network with every layer dense. */
  readonly dense: number;
}

/** Counts a network's parameters: frozen weights are in `total` and `dense`, adapters in `trained` and `total`. */
export function parametersOf({ parameters, layers }: Architecture): ParameterCount {
  let [trained, total] = [0, 0];
  const sizes = new Map<string, number>();
  for (const { name, shape, kind } of parameters) {
    if (kind === 'statistic') continue;
    const count = elementCount(shape);
    sizes.set(name, count);
    total += count;
    if (kind === 'trained') trained += count;
  }
  let dense = total;
  for (const layer of layers) {
    dense += elementCount(layer.weightShape);
    for (const { name } of arraysOf(layer)) dense -= sizes.get(name) ?? 0;
  }
  return { trained, total, dense };
}
