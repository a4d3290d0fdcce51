import path from 'node:path';
import { CheckpointError } from '../../checkpoint/errors';
import { readRecipe, recipeForModel } from '../../network/readRecipe';
import type { ResolvedRecipe } from '../../network/recipe';
import type { UtilizeParams } from '../utilizationProtocol';
import type { UtilizationSettings } from '../utilize';

/** Percentage points for each projection, as in the paper. */
const DEFAULT_DELTA = 0.1;

const DEFAULT_ENERGY = 0.99;

/** What a measurement is asked to do; what is left out, the recipe says. */
export type MeasurementRequest = Pick<
  UtilizeParams,
  'path' | 'data' | 'mode' | 'delta' | 'energy' | 'maxPasses'
>;

export interface ResolvedMeasurement {
  readonly recipe: ResolvedRecipe;
  readonly settings: UtilizationSettings;
  readonly layers: RegExp | undefined;
  /** The checkpoint behind the network, when the recipe names one. */
  readonly checkpoint: string | undefined;
}

/**
 * The recipe of a measurement and how its dimensions are chosen. What the request says wins over the recipe.
 *
 * @throws CheckpointError with one line: a recipe that is wrong, a model without data, wishes that exclude each other
 */
export async function resolveMeasurement(request: MeasurementRequest): Promise<ResolvedMeasurement> {
  const recipe = await recipeOf(request);
  const { network, utilization } = recipe;
  return {
    recipe,
    settings: settingsOf(request, recipe),
    layers: utilization.layers === undefined ? undefined : new RegExp(utilization.layers),
    checkpoint: network.kind === 'tfjs' ? undefined : network.checkpoint,
  };
}

async function recipeOf({ path: file, data }: MeasurementRequest): Promise<ResolvedRecipe> {
  if (data !== undefined) return recipeForModel(file, data);
  if (path.extname(file).toLowerCase() === '.onnx') {
    const reason = 'a model alone has no data to run on: give it with --data, or name both in a recipe';
    throw new CheckpointError('unsupported', reason, { file });
  }
  return readRecipe(file);
}

function settingsOf(
  { mode, delta, energy, maxPasses }: MeasurementRequest,
  { path: file, utilization: recipe }: ResolvedRecipe,
): UtilizationSettings {
  // A recipe that only names an energy means it; so does whoever asks for one.
  const byEnergy = energy !== undefined || (recipe.energy !== undefined && recipe.delta === undefined);
  const chosen = mode ?? recipe.mode ?? (byEnergy && delta === undefined ? 'label-free' : 'cumulative');
  if (chosen === 'label-free') {
    if (delta !== undefined || maxPasses !== undefined)
      throw idle(file, delta === undefined ? 'a budget of passes' : 'a tolerance δ', chosen);
    return { mode: chosen, energy: energy ?? recipe.energy ?? DEFAULT_ENERGY };
  }
  if (energy !== undefined) throw idle(file, 'an energy', chosen);
  return {
    mode: chosen,
    delta: delta ?? recipe.delta ?? DEFAULT_DELTA,
    maxPasses: maxPasses ?? recipe.maxPasses,
  };
}

function idle(file: string, what: string, mode: string): CheckpointError {
  return new CheckpointError(
    'unsupported',
    `${what} says nothing in ${mode} mode: choose the mode that it is for`,
    {
      file,
    },
  );
}
