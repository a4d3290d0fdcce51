/** A recipe → what is trained: the network with its starting values, and the task. */
import { createHash } from 'node:crypto';
import { openCheckpoint } from '../checkpoint/open';
import type { Checkpoint } from '../checkpoint/checkpoint';
import { CheckpointError } from '../checkpoint/errors';
import type { ComputeBackend } from '../compute/backend';
import {
  buildArchitecture,
  chooseFormOf,
  formsInCheckpoint,
  loadValues,
  type Architecture,
  type BuiltinNetworkRecipe,
  type ChooseForm,
} from '../network/builtin';
import { factorizeWeight, type LayerFactors } from './factorizeWeight';
import type { ResolvedTrainingRecipe } from './recipe';
import { networkFit, openTask } from './tasks';
import type { Task } from './tasks/task';
import type { TrainingData } from './tasks/recipe';

export interface OpenedTraining {
  readonly architecture: Architecture;
  readonly task: Task;
  /** Starting values of every parameter. */
  readonly values: Map<string, Float32Array>;
  /** Names the network by what decides its state. */
  readonly identity: string;
  readonly notes: readonly string[];
}

export interface OpenTrainingOptions {
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
  readonly onFraction?: (fraction: number) => void;
}

/** What is trained, without its data and values. @throws CheckpointError in one line */
export async function openArchitecture(
  recipe: ResolvedTrainingRecipe,
  signal: AbortSignal,
): Promise<{ readonly architecture: Architecture; readonly checkpoint: Checkpoint | undefined }> {
  const { network, data } = required(recipe);
  const checkpoint =
    network.checkpoint === undefined ? undefined : await openCheckpoint(network.checkpoint, signal);
  try {
    const fitted = await fittedTo(network, data, signal);
    const choose =
      checkpoint !== undefined && network.forms === undefined
        ? formsInCheckpoint(checkpoint)
        : chooseFormOf(network.forms);
    return { architecture: buildArchitecture(fitted, choose), checkpoint };
  } catch (error) {
    if (error instanceof CheckpointError || signal.aborted) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError('unsupported', `network: ${reason}`, { file: recipe.path }, { cause: error });
  }
}

/** @throws CheckpointError in one line; the signal's reason */
export async function openTraining(
  recipe: ResolvedTrainingRecipe,
  { backend, signal, onFraction }: OpenTrainingOptions,
): Promise<OpenedTraining> {
  const { training } = recipe;
  const { network, data } = required(recipe);
  const { architecture, checkpoint } = await openArchitecture(recipe, signal);
  const { augment, labelSmoothing, seed } = training;
  const task = await openTask(withContext(data, network), {
    signal,
    network: architecture,
    ...(augment !== undefined && { augment }),
    ...(labelSmoothing !== undefined && { labelSmoothing }),
    ...(onFraction !== undefined && { onFraction }),
  });
  try {
    const start =
      checkpoint === undefined
        ? { architecture, values: initialValues(architecture, seed), notes: [] }
        : await startFrom(checkpoint, architecture, recipe, { backend, signal });
    const notes = [...task.notes, ...start.notes];
    return { ...start, task, identity: identityOf(network, start.architecture), notes };
  } catch (error) {
    await task.dispose();
    throw error;
  }
}

function initialValues({ parameters }: Architecture, seed: number): Map<string, Float32Array> {
  return new Map(parameters.map((one) => [one.name, one.initial(seed)]));
}

/**
 * Values out of a checkpoint. A dense weight for a sine-low-rank layer is fitted, and the fit finds its own ω and g: the
 * network is then built once more with these.
 */
async function startFrom(
  checkpoint: Checkpoint,
  architecture: Architecture,
  recipe: ResolvedTrainingRecipe,
  { backend, signal }: OpenTrainingOptions,
): Promise<Pick<OpenedTraining, 'architecture' | 'values' | 'notes'>> {
  const { seed } = recipe.training;
  const found = new Map<string, LayerFactors>();
  const load = (into: Architecture): ReturnType<typeof loadValues> =>
    loadValues(into, checkpoint, {
      seed,
      signal,
      factor: async (layer, weight) => {
        const factors =
          found.get(layer.name) ?? (await factorizeWeight(layer, weight, seed, backend, signal));
        found.set(layer.name, factors);
        return factors;
      },
    });
  const loaded = await load(architecture);
  const isFitted = [...found.values()].some(({ omega }) => omega !== undefined);
  if (!isFitted) return { architecture, ...loaded };
  const forms = new Map(architecture.layers.map(({ name, form }) => [name, form]));
  const { network, data } = required(recipe);
  const choose: ChooseForm = ({ name }) => {
    const form = forms.get(name) ?? { kind: 'dense' };
    const { omega, gain } = found.get(name) ?? {};
    if (form.kind !== 'sine' || omega === undefined || gain === undefined) return form;
    return { ...form, omega, gain };
  };
  const again = buildArchitecture(await fittedTo(network, data, signal), choose);
  return { architecture: again, ...(await load(again)) };
}

function required({ network, data, path }: ResolvedTrainingRecipe): {
  network: BuiltinNetworkRecipe;
  data: TrainingData;
} {
  if (network !== undefined && data !== undefined) return { network, data };
  throw new CheckpointError('malformed', 'names no network and data of its own', { file: path });
}

/** What the recipe leaves open, the data decides: classes, and of text its vocabulary and context. */
async function fittedTo(
  network: BuiltinNetworkRecipe,
  data: TrainingData,
  signal: AbortSignal,
): Promise<BuiltinNetworkRecipe> {
  switch (network.kind) {
    case 'perceptron':
    case 'coordinates':
    case 'nerf':
      return network;
    case 'vgg':
    case 'resnet':
    case 'vit': {
      if (network.classes !== undefined) return network;
      const { classes } = await networkFit(data, signal);
      return classes === undefined ? network : { ...network, classes };
    }
    case 'gpt':
    case 'encoder': {
      const { vocabulary, context, classes } = await networkFit(withContext(data, network), signal);
      const fitted = {
        ...network,
        ...(vocabulary !== undefined && { vocabulary: network.vocabulary ?? vocabulary }),
        ...(context !== undefined && { context }),
      };
      return fitted.kind === 'encoder' && classes !== undefined
        ? { ...fitted, head: fitted.head ?? 'classes', classes: fitted.classes ?? classes }
        : fitted;
    }
  }
}

/** The context may be said once: of the network, or of the text. */
function withContext(data: TrainingData, network: BuiltinNetworkRecipe): TrainingData {
  if (data.kind !== 'text' || data.context !== undefined || !('context' in network)) return data;
  return { ...data, context: network.context };
}

function identityOf({ checkpoint: _, ...network }: BuiltinNetworkRecipe, architecture: Architecture): string {
  const parameters = architecture.parameters.map(({ name, shape, kind }) => [name, shape, kind]);
  const forms = architecture.layers.map(({ name, form, omega, gain }) => [name, form, omega, gain]);
  return createHash('sha256')
    .update(JSON.stringify([network, parameters, forms]))
    .digest('hex');
}
