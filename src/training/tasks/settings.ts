import type { Architecture } from '../../network/builtin/architecture';
import { CheckpointError } from '../../checkpoint/errors';
import type { AugmentRecipe } from '../recipe';

/** What a task has to know besides its data. */
export interface TaskOptions {
  readonly signal: AbortSignal;
  /** What is trained: the data is laid out for it, or refused. */
  readonly network: Pick<Architecture, 'input' | 'output'>;
  /** Samples evaluated at once; default 64. Points and rays go in pieces of their own. */
  readonly batchSize?: number;
  /** Classification of pictures only. */
  readonly augment?: AugmentRecipe;
  /** 0 … 1; classification only. */
  readonly labelSmoothing?: number;
  /** While data is read that takes time. */
  readonly onFraction?: (fraction: number) => void;
}

export const DEFAULT_BATCH = 64;

/** @throws CheckpointError unless the network maps one shape to the other */
export function requireNetwork(
  { input, output }: TaskOptions['network'],
  wanted: { readonly input?: readonly number[]; readonly output: readonly number[] },
  what: string,
  file: string,
): void {
  const same = (a: readonly number[], b: readonly number[]): boolean => a.join() === b.join();
  const isRight = same(output, wanted.output) && (wanted.input === undefined || same(input, wanted.input));
  if (isRight) return;
  const shape = (sizes: readonly number[]): string => `[${sizes.join(', ')}]`;
  const needed = `${wanted.input === undefined ? '' : `${shape(wanted.input)} → `}${shape(wanted.output)}`;
  const given = `${wanted.input === undefined ? '' : `${shape(input)} → `}${shape(output)}`;
  throw new CheckpointError('unsupported', `${what} needs a network ${needed}, but this one is ${given}`, {
    file,
  });
}
