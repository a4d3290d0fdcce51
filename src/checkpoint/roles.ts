import { elementCount, type Tensor, type TensorRole } from './checkpoint';
import { countOf } from './wording';

/** Keys at the top of a training checkpoint under which trainers keep everything but the model and its optimizer. */
const TRAINING_KEYS: ReadonlySet<string> = new Set([
  'callbacks', // Lightning: best scores of ModelCheckpoint and EarlyStopping
  'loops', // Lightning: progress, and what the batches of an epoch gave
  'hyper_parameters', // Lightning: arguments of the module, class weights among them
  'datamodule_hyper_parameters', // Lightning
  'hparams',
  'args', // fairseq, DETR
  'config',
  'cfg',
  'lr_schedulers', // Lightning
  'lr_scheduler', // DETR, torchvision's references
  'lr_scheduler_state_dict',
  'lr_sched',
  'scheduler',
  'schedulers',
  'scheduler_state',
  'scheduler_state_dict',
  'param_schedulers', // MMEngine
  'message_hub', // MMEngine
  'scaler',
  'grad_scaler',
  'scaler_state_dict',
  'loss_scaler',
  'amp', // NVIDIA Apex
  'amp_scaling_state', // Lightning 1
  'native_amp_scaling_state', // Lightning 1
  'mixedprecisionplugin', // Lightning 1.6
  'mixedprecision', // Lightning 2
  'rng',
  'random_state',
  'history',
  'metrics',
  'logs',
  'train_loss',
  'val_loss',
  'train_losses',
  'val_losses',
  'extra_state', // fairseq
]);

/** States of random generators are bytes in bulk, at the top of a state dict as well as beside one. */
const GENERATOR_STATE = /(?:^|_)rng_states?(?:_|$)/;

/** Single numbers that training scripts put beside, or into, a state dict: counters, best scores, settings. */
const TRAINING_NUMBERS: readonly RegExp[] = [
  /^(?:epochs?|steps?|iters?|iterations?|num_updates|current_epoch|last_epoch)$/,
  /^(?:global|train|training|total|num|n)_(?:epochs?|steps?|iters?|iterations?)$/,
  /^(?:best|current|last|min|max|train|val|valid|validation|test|final)_(?:\w+_)?(?:acc|acc[15]|acc_?top[15]|accuracy|loss|losses|score|metric|metrics|prec[15]?|precision|recall|top[15]|auc|f1|iou|miou|map|dice|bleu|ppl|perplexity|psnr|ssim|mse|mae|rmse|fitness|reward|err|error|err[15]|epoch|step|iter|val|value)$/,
  /^(?:acc|acc[15]|accuracy|loss|prec[15]|top[15]|fitness|best)$/,
  /^(?:ema_(?:decay|momentum|updates|step|steps)|decay|lr|learning_rate|momentum|weight_decay|loss_scale|seed)$/,
];

/**
 * The role of what stands under a key at the top of a file: trainers' bookkeeping is no part of the model, whatever
 * numbers it holds. Names that a model's own parameters could have count only where the top cannot be a state dict.
 *
 * @param key as the file has it
 * @param value `scalar`: a tensor of one element; `tensor`: of more; `container`: something that holds others
 * @param isStateDict the top holds nothing but tensors
 */
export function roleOfTopLevel(
  key: string,
  value: 'scalar' | 'tensor' | 'container',
  isStateDict: boolean,
): TensorRole {
  const name = key.toLowerCase();
  if (GENERATOR_STATE.test(name)) return 'training';
  if (value === 'scalar' && TRAINING_NUMBERS.some((pattern) => pattern.test(name))) return 'training';
  return !isStateDict && TRAINING_KEYS.has(name) ? 'training' : 'model';
}

/** The role of a tensor of a file that is a flat list of names, as a state dict is. */
export function roleInStateDict(name: string, shape: readonly number[]): TensorRole {
  return roleOfTopLevel(name, elementCount(shape) === 1 ? 'scalar' : 'tensor', true);
}

/** Notes on tensors that are in the file and not of the model. */
export function stateNotes(tensors: readonly Tensor[]): string[] {
  return (['optimizer', 'training'] as const).flatMap((role) => {
    const count = tensors.filter((tensor) => tensor.role === role).length;
    if (count === 0) return [];
    return [`${countOf(count, 'tensor is', 'tensors are')} ${role} state, not part of the model`];
  });
}
