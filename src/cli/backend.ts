import { printable } from '../checkpoint/errors';
import type { ComputeBackend } from '../compute';
import { openBackend } from '../engine/backends';
import type { Streams } from './command';

/** The backend of a job in a terminal; what becomes of it is told between the lines of progress. */
export async function openJobBackend(
  { backend: name, threads }: { readonly backend?: string; readonly threads?: number },
  { endProgress, complain }: Pick<Streams, 'endProgress' | 'complain'>,
  signal: AbortSignal,
): Promise<ComputeBackend> {
  const onNotice = (notice: string): void => {
    endProgress();
    complain(printable(notice));
  };
  const { backend } = await openBackend({ name, threads, signal, onNotice });
  return backend;
}
