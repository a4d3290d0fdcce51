import type { LauncherRecipe } from '../recipe';
import { here } from './here';
import type { Launcher, PlaceStatus, RunnerProgram, RunToLaunch } from './launcher';
import { slurm } from './slurm';

/**
 * What a recipe names. It starts runs there, and knows them wherever their last attempt was made: somebody may have
 * resumed one by hand.
 *
 * @param recipe here: without `jobs`, several runs are run one after another
 */
export function launcherFor(recipe: LauncherRecipe, program: RunnerProgram): Launcher {
  const own = recipe.kind === 'slurm' ? slurm(recipe, program) : here(recipe, program);
  const other = recipe.kind === 'slurm' ? here({ kind: 'here' }, program) : slurm({ kind: 'slurm' }, program);
  const placeOf = ({ launch }: RunToLaunch): Launcher => (launch?.launcher === other.kind ? other : own);
  return {
    ...own,
    status: async (runs, signal) => {
      const answers = new Map<RunToLaunch, PlaceStatus | undefined>();
      for (const place of [own, other]) {
        const its = runs.filter((run) => placeOf(run) === place);
        if (its.length === 0) continue;
        const statuses = await place.status(its, signal);
        for (const [i, run] of its.entries()) answers.set(run, statuses[i]);
      }
      return runs.map((run) => answers.get(run) ?? { kind: 'gone' });
    },
    cancel: (run, signal) => placeOf(run).cancel(run, signal),
  };
}
