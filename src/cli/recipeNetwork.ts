import { printable } from '../checkpoint/errors';
import type { ComputeBackend } from '../compute';
import type { RunnableNetwork } from '../network/network';
import { openNetwork } from '../network/open';
import type { ResolvedRecipe } from '../network/recipe';
import type { Streams } from './command';
import { UsageError } from './flags';

/** Opens the network of a recipe: whoever runs one from a terminal runs what it names. Its words go to stderr. */
export function networkOpener(
  recipe: ResolvedRecipe,
  backend: ComputeBackend,
  { endProgress, complain }: Pick<Streams, 'endProgress' | 'complain'>,
): (signal: AbortSignal) => Promise<RunnableNetwork> {
  const onLog = (line: string): void => {
    endProgress();
    complain(`python: ${printable(line)}`);
  };
  return (signal) => openNetwork(recipe, { backend, signal, trusted: true, onLog });
}

/** The interpreter of the command line goes before the recipe's own. */
export function withInterpreter(recipe: ResolvedRecipe, python: string | undefined): ResolvedRecipe {
  if (python === undefined) return recipe;
  const { network } = recipe;
  if (network.kind !== 'python')
    throw new UsageError(`--python says nothing for a network of kind ${network.kind}`);
  return { ...recipe, network: { ...network, python } };
}
