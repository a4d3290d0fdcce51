import type { ResolvedRecipe } from '../network/recipe';
import { UsageError } from './flags';

/** The interpreter of the command line goes before the recipe's own. */
export function withInterpreter(recipe: ResolvedRecipe, python: string | undefined): ResolvedRecipe {
  if (python === undefined) return recipe;
  const { network } = recipe;
  if (network.kind !== 'python')
    throw new UsageError(`--python says nothing for a network of kind ${network.kind}`);
  return { ...recipe, network: { ...network, python } };
}
