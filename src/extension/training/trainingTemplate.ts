/** Text of a new recipe that trains: what was chosen, and settings to start from. Pure; `newTrainingRecipe.ts` asks. */

/** What a network learns from. */
export type TaskKind = 'classification' | 'occupancy' | 'views' | 'text';

/** A built-in network with sizes to start from. */
export interface NetworkChoice {
  readonly title: string;
  /** Without its checkpoint and its forms: as `network` stands in the recipe. */
  readonly network: Readonly<Record<string, unknown>> & { readonly kind: string };
  readonly task: TaskKind;
  /** `training`, without what the form decides. */
  readonly training: Readonly<Record<string, unknown>>;
}

const PICTURES = {
  optimizer: { kind: 'sgd', learningRate: 0.05, momentum: 0.9, weightDecay: 5e-4 },
  schedule: { kind: 'cosine', warmupSteps: 200 },
  ...{ batchSize: 128, epochs: 30, augment: { flip: true, crop: 4 } },
};
const TRANSFORMER = {
  optimizer: { kind: 'adamw', learningRate: 0.001, weightDecay: 0.05 },
  schedule: { kind: 'cosine', warmupSteps: 500 },
  ...{ batchSize: 128, epochs: 50, augment: { flip: true, crop: 4 } },
};
const LANGUAGE = {
  optimizer: { kind: 'adamw', learningRate: 0.001, weightDecay: 0.01 },
  schedule: { kind: 'cosine', warmupSteps: 100 },
  ...{ batchSize: 32, steps: 2000, evaluate: { everySteps: 200 } },
};

const vgg = (depth: number): NetworkChoice => pictures(`VGG-${depth}`, { kind: 'vgg', depth, classes: 10 });
const resnet = (depth: number): NetworkChoice =>
  pictures(`ResNet-${depth}`, { kind: 'resnet', depth, classes: 10 });

function pictures(title: string, network: NetworkChoice['network']): NetworkChoice {
  return { title, network, task: 'classification', training: PICTURES };
}

function vit(size: string, title: string): NetworkChoice {
  const network = { kind: 'vit', size, patch: 4, image: 32, channels: 3, classes: 10 };
  return { title: `ViT ${title}`, network, task: 'classification', training: TRANSFORMER };
}

/** Smaller ones first: they show within minutes whether data and recipe fit each other. */
export const NETWORK_CHOICES: readonly NetworkChoice[] = [
  {
    title: 'Multilayer perceptron',
    network: { kind: 'perceptron', widths: [784, 256, 256, 10], activation: 'relu' },
    task: 'classification',
    training: { optimizer: { kind: 'adam', learningRate: 0.001 }, batchSize: 128, epochs: 10 },
  },
  {
    title: 'Coordinate network, for the occupancy of a solid',
    network: { kind: 'coordinates', width: 256, hidden: 2, activation: 'gaussian' },
    task: 'occupancy',
    training: { optimizer: { kind: 'adam', learningRate: 0.001 }, batchSize: 8192, epochs: 20 },
  },
  {
    title: 'NeRF',
    network: { kind: 'nerf', width: 256, hidden: 8 },
    task: 'views',
    training: {
      optimizer: { kind: 'adam', learningRate: 5e-4 },
      schedule: { kind: 'exponential', final: 0.1 },
      ...{ batchSize: 1024, steps: 20_000, evaluate: { everySteps: 2000 } },
    },
  },
  ...[20, 18, 50].map(resnet),
  ...[11, 13, 16, 19].map(vgg),
  ...[vit('tiny', 'Tiny'), vit('small', 'Small'), vit('base', 'Base')],
  {
    title: 'GPT, small, over characters',
    network: { kind: 'gpt', width: 128, blocks: 4, heads: 4, context: 64 },
    task: 'text',
    training: LANGUAGE,
  },
  {
    title: 'Encoder like RoBERTa, over characters',
    network: { kind: 'encoder', width: 128, blocks: 4, heads: 4, context: 64, head: 'tokens' },
    task: 'text',
    training: LANGUAGE,
  },
];

export const TEMPLATE_FORMS = ['dense', 'low-rank', 'sine', 'lora', 'sine-lora'] as const;
export type TemplateForm = (typeof TEMPLATE_FORMS)[number];

export interface TemplateChoices {
  readonly choice: NetworkChoice;
  /** Paths relative to the recipe, or the name of a solid; undefined: to be filled in. */
  readonly data: { readonly path?: string; readonly validation?: string; readonly solid?: string };
  /** Undefined: as the checkpoint keeps its layers. */
  readonly form?: TemplateForm;
  readonly rank?: number;
  /** Relative to the recipe. */
  readonly checkpoint?: string;
}

export function trainingRecipe({ choice, data, form, rank, checkpoint }: TemplateChoices): string {
  const { network, task, training } = choice;
  const forms =
    form === undefined || form === 'dense' ? [] : [{ kind: form, ...(rank !== undefined && { rank }) }];
  const recipe = {
    schema: 'rankscope/recipe@1',
    network: {
      ...network,
      ...(checkpoint !== undefined && { checkpoint }),
      ...(forms.length > 0 && { forms }),
    },
    data: dataOf(task, network.kind, data),
    training: { ...training, seed: 1, checkpointMinutes: 2 },
  };
  return `${JSON.stringify(recipe, undefined, 2)}\n`;
}

function dataOf(task: TaskKind, network: string, { path, validation, solid }: TemplateChoices['data']) {
  switch (task) {
    case 'classification': {
      const train = path ?? 'train.npz';
      return { train: { path: train }, validation: { path: validation ?? train } };
    }
    case 'occupancy':
      return path === undefined
        ? { kind: task, solid: solid ?? 'gyroid', resolution: 64 }
        : { kind: task, mesh: path, resolution: 64 };
    case 'views':
      return { kind: task, path: path ?? 'views.npz' };
    case 'text':
      return {
        ...{ kind: task, path: path ?? 'text.txt', context: 64 },
        ...(network === 'encoder' && { task: 'masked' }),
      };
  }
}
