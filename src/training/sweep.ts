/** A recipe and the values to be tried → the runs to be made. */
import type { BuiltinNetworkRecipe, FormRecipe, LayerFormKind } from '../network/builtin/recipe';
import type { ResolvedTrainingRecipe, SweepRecipe } from './recipe';
import type { Choices, RunRecord } from './run/run';

/** Runs of one sweep: more would be a slip. */
export const MAX_RUNS = 1000;

/** The forms that are held against each other unless told. */
export const COMPARED_FORMS = ['dense', 'low-rank', 'sine'] as const satisfies readonly LayerFormKind[];

export interface PlannedRun {
  readonly label: string;
  readonly choices: Choices;
  readonly recipe: ResolvedTrainingRecipe;
  readonly form: RunRecord['form'];
  readonly rank?: number;
  readonly seed: number;
}

type Combination = { readonly [K in keyof SweepRecipe]?: NonNullable<SweepRecipe[K]>[number] };

const AXES = ['form', 'rank', 'omega', 'gain', 'learningRate', 'seed'] as const;

/**
 * One run for every combination of the sweep's values; values that a form does not have (the rank of a dense layer) do not
 * multiply it.
 *
 * @throws Error in one line: a form without a rank, too many runs, axes that a script does not know
 */
export function planRuns(recipe: ResolvedTrainingRecipe, sweep: SweepRecipe = {}): readonly PlannedRun[] {
  const combinations = distinct(combine(sweep).map((one) => relevant(one, recipe)));
  if (combinations.length > MAX_RUNS)
    throw new Error(`the sweep has ${combinations.length} runs, more than ${MAX_RUNS}`);
  return combinations.map((choices) => plan(recipe, choices));
}

/** Values of the axes that say something, every one with every other. */
function combine(sweep: SweepRecipe): readonly Combination[] {
  let all: Combination[] = [{}];
  for (const axis of AXES) {
    const values: readonly (string | number)[] = sweep[axis] ?? [];
    if (values.length === 0) continue;
    if (all.length * values.length > 100 * MAX_RUNS)
      throw new Error(`the sweep has ${all.length * values.length} runs, more than ${MAX_RUNS}`);
    all = all.flatMap((one) => values.map((value) => ({ ...one, [axis]: value })));
  }
  return all;
}

/** Without what changes nothing for the form that it has. */
function relevant(choices: Combination, { network, training }: ResolvedTrainingRecipe): Combination {
  if (training.script !== undefined) return choices;
  const kinds = choices.form === undefined ? formKinds(network) : [choices.form];
  const hasRank = kinds.some((kind) => kind !== 'dense');
  const hasSine = kinds.some((kind) => kind === 'sine' || kind === 'sine-lora');
  const { rank, omega, gain, ...rest } = choices;
  return {
    ...rest,
    ...(hasRank && rank !== undefined && { rank }),
    ...(hasSine && omega !== undefined && { omega }),
    ...(hasSine && gain !== undefined && { gain }),
  };
}

function distinct(combinations: readonly Combination[]): readonly Combination[] {
  const seen = new Map<string, Combination>();
  for (const one of combinations) {
    const key = JSON.stringify(AXES.map((axis) => one[axis] ?? null));
    if (!seen.has(key)) seen.set(key, one);
  }
  return [...seen.values()];
}

function plan(recipe: ResolvedTrainingRecipe, choices: Combination): PlannedRun {
  const { training, network } = recipe;
  const seed = choices.seed ?? training.seed;
  const { learningRate } = choices;
  const chosen: ResolvedTrainingRecipe = {
    ...recipe,
    ...(network !== undefined && { network: withForms(network, choices) }),
    training: {
      ...training,
      seed,
      ...(learningRate !== undefined && { optimizer: { ...training.optimizer, learningRate } }),
    },
  };
  const form = formOf(chosen);
  const rank = choices.rank ?? rankOf(chosen.network);
  return {
    label: labelOf(choices, form, rank, seed),
    choices: Object.fromEntries(
      AXES.flatMap((axis) => (choices[axis] === undefined ? [] : [[axis, choices[axis]]])),
    ),
    recipe: chosen,
    form,
    ...(rank !== undefined && { rank }),
    seed,
  };
}

function withForms(network: BuiltinNetworkRecipe, choices: Combination): BuiltinNetworkRecipe {
  const { form, rank, omega, gain } = choices;
  if (form === undefined && rank === undefined && omega === undefined && gain === undefined) return network;
  const { forms, ...rest } = network;
  // Several kinds of layers in the recipe keep their own expressions; one is enough where it names none.
  const given: readonly FormRecipe[] =
    forms === undefined || forms.length === 0 ? [{ kind: 'dense' }] : forms;
  return { ...rest, forms: given.map((one) => changed(one, choices)) };
}

function changed(form: FormRecipe, { form: wanted, rank: chosen, omega, gain }: Combination): FormRecipe {
  const kind = wanted ?? form.kind;
  const layers = form.layers === undefined ? {} : { layers: form.layers };
  if (kind === 'dense') return { kind, ...layers };
  const rank = chosen ?? ('rank' in form ? form.rank : undefined);
  if (rank === undefined)
    throw new Error(`the form "${kind}" needs a rank: name it in network.forms, or give it with the sweep`);
  if (kind === 'low-rank') return { kind, rank, ...layers };
  const alpha = 'alpha' in form ? { alpha: form.alpha } : {};
  if (kind === 'lora') return { kind, rank, ...alpha, ...layers };
  const sine = {
    ...('omega' in form && { omega: form.omega }),
    ...('gain' in form && { gain: form.gain }),
    ...(omega !== undefined && { omega }),
    ...(gain !== undefined && { gain }),
  };
  return kind === 'sine' ? { kind, rank, ...sine, ...layers } : { kind, rank, ...alpha, ...sine, ...layers };
}

function formKinds(network: BuiltinNetworkRecipe | undefined): readonly LayerFormKind[] {
  return network?.forms?.map(({ kind }) => kind) ?? [];
}

function formOf({ network, training }: ResolvedTrainingRecipe): RunRecord['form'] {
  if (training.script !== undefined || network === undefined) return 'script';
  const kinds = new Set(formKinds(network));
  const [only] = kinds;
  if (only === undefined) return network.checkpoint === undefined ? 'dense' : 'as-checkpoint';
  return kinds.size === 1 ? only : 'mixed';
}

function rankOf(network: BuiltinNetworkRecipe | undefined): number | undefined {
  const ranks = new Set(network?.forms?.flatMap((form) => ('rank' in form ? [form.rank] : [])));
  const [only] = ranks;
  return ranks.size === 1 ? only : undefined;
}

const FORM_TITLES: Readonly<Record<RunRecord['form'], string>> = {
  dense: 'dense',
  'low-rank': 'low-rank',
  sine: 'sine-low-rank',
  lora: 'LoRA',
  'sine-lora': 'sine-LoRA',
  mixed: 'several forms',
  'as-checkpoint': 'as in the checkpoint',
  script: 'script',
};

function labelOf(
  { omega, gain, learningRate, ...choices }: Combination,
  form: RunRecord['form'],
  rank: number | undefined,
  seed: number,
): string {
  const parts = [FORM_TITLES[form]];
  if (rank !== undefined && (form !== 'script' || choices.rank !== undefined)) parts.push(`k = ${rank}`);
  if (omega !== undefined) parts.push(`ω = ${omega}`);
  if (gain !== undefined) parts.push(`g = ${gain}`);
  if (learningRate !== undefined) parts.push(`learning rate ${learningRate}`);
  parts.push(`seed ${seed}`);
  return parts.join(', ');
}
