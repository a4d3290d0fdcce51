/**
 * What the names in a script's reports mean:
 *
 * | name                                              | becomes                                                       |
 * | ------------------------------------------------- | ------------------------------------------------------------- |
 * | `step`, `global_step`, `iteration`                | the step; without one, reports are counted                    |
 * | `epoch`                                           | the epoch                                                     |
 * | `steps`, `total_steps`, `max_steps`               | steps to be made                                              |
 * | `loss`, `train_loss`                              | the loss of training                                          |
 * | `lr`, `learning_rate`                             | the learning rate                                             |
 * | `samples_per_second`, `throughput`                | the throughput                                                |
 * | `accuracy`, `psnr`, `iou`, `perplexity`, `f1` …   | an evaluation                                                 |
 * | `val_accuracy` (`valid_`, `eval_`, `test_` …)     | an evaluation; then `accuracy` is of training, and goes aside |
 * | `val_loss`                                        | the loss of an evaluation                                     |
 * | other numbers                                     | `more`                                                        |
 *
 * Accuracy and IoU are shown in percent. Scripts report shares of one as often: until a value above 1 is seen, they are
 * taken for shares.
 */
import { printable } from '../../checkpoint/errors';
import type { RunEvent } from '../run/run';
import type { Report } from './report';

const STEP = ['step', 'global_step', 'iteration', 'iter'];
const STEPS = ['steps', 'total_steps', 'max_steps'];
const LOSS = ['loss', 'train_loss', 'training_loss'];
const LEARNING_RATE = ['lr', 'learning_rate', 'train_lr'];
const THROUGHPUT = ['samples_per_second', 'train_samples_per_second', 'throughput'];
const EVALUATED = /^(?:val|valid|validation|eval|test|dev)_/;

interface KnownMetric {
  readonly name: string;
  readonly words: readonly string[];
  readonly higherIsBetter: boolean;
  readonly isShare?: boolean;
}

/** The first that is reported is the run's; others are kept aside. */
const METRICS: readonly KnownMetric[] = [
  { name: 'accuracy', words: ['accuracy', 'acc', 'top1', 'acc1'], higherIsBetter: true, isShare: true },
  { name: 'psnr', words: ['psnr'], higherIsBetter: true },
  { name: 'iou', words: ['iou', 'miou', 'mean_iou'], higherIsBetter: true, isShare: true },
  { name: 'perplexity', words: ['perplexity', 'ppl'], higherIsBetter: false },
  { name: 'f1', words: ['f1'], higherIsBetter: true },
  { name: 'auc', words: ['auc'], higherIsBetter: true },
  { name: 'bleu', words: ['bleu'], higherIsBetter: true },
  { name: 'error', words: ['error', 'err'], higherIsBetter: false },
  { name: 'mse', words: ['mse'], higherIsBetter: false },
  { name: 'rmse', words: ['rmse'], higherIsBetter: false },
  { name: 'mae', words: ['mae'], higherIsBetter: false },
];
/** One, and what rounding adds to it. */
const LARGEST_SHARE = 1.001;
const LOSS_METRIC: KnownMetric = { name: 'loss', words: [], higherIsBetter: false };

export interface ReadReport {
  readonly events: readonly RunEvent[];
  /** Steps to be made, if it says so. */
  readonly steps?: number;
}

interface Found {
  readonly metric: KnownMetric;
  readonly value: number;
  /** With a name that says that it is of an evaluation. */
  readonly isMarked: boolean;
}

/** Reports in the order in which they come. */
export class ReportReader {
  private step = 0;
  private metric: KnownMetric | undefined;
  private isMarked = false;
  private hasPercent = false;
  private hasShares = false;
  private isLossFinite = true;

  /** Whether a line says something of training at all: programs print numbers for many reasons. */
  static isTelling({ numbers }: Report): boolean {
    return [...numbers.keys()].some(
      (name) =>
        [...STEP, ...LOSS, ...LEARNING_RATE].includes(name) ||
        metricOf(name) !== undefined ||
        isEvaluatedLoss(name),
    );
  }

  /** @param seconds of training so far, over all attempts */
  read({ numbers, message }: Report, seconds: number): ReadReport {
    const rest = new Map(numbers);
    const steps = take(rest, STEPS);
    this.step = stepOf(take(rest, STEP)) ?? this.nextStep(rest);
    const epoch = finite(take(rest, ['epoch']));
    const at = { step: this.step, ...(epoch !== undefined && { epoch }) };
    const notes: RunEvent[] = [];
    if (message !== undefined) notes.push({ kind: 'note', step: this.step, message: printable(message) });
    const evaluation = this.evaluation(rest, notes);
    const train = this.training(rest, notes);
    const events: RunEvent[] = [];
    if (train !== undefined) events.push({ kind: 'train', ...at, ...train, seconds });
    if (evaluation !== undefined) events.push({ kind: 'evaluation', ...at, ...evaluation, seconds });
    const told = stepOf(steps);
    return { events: [...events, ...notes], ...(told !== undefined && told > 0 && { steps: told }) };
  }

  /** Without a step: a report of training is the next one, an evaluation is of the last. */
  private nextStep(rest: ReadonlyMap<string, number>): number {
    return LOSS.some((name) => rest.has(name)) ? this.step + 1 : this.step;
  }

  private training(
    rest: Map<string, number>,
    notes: RunEvent[],
  ): Pick<RunEvent & { kind: 'train' }, 'loss' | 'learningRate' | 'samplesPerSecond' | 'more'> | undefined {
    const loss = take(rest, LOSS);
    if (loss !== undefined) this.lookAt(loss, notes);
    const meanLoss = finite(loss);
    const learningRate = finite(take(rest, LEARNING_RATE));
    const samplesPerSecond = finite(take(rest, THROUGHPUT));
    const more = [...rest].filter(([, value]) => Number.isFinite(value));
    const told = {
      ...(meanLoss !== undefined && { loss: meanLoss }),
      ...(learningRate !== undefined && { learningRate }),
      ...(samplesPerSecond !== undefined && { samplesPerSecond }),
      ...(more.length > 0 && { more: Object.fromEntries(more) }),
    };
    return Object.keys(told).length > 0 ? told : undefined;
  }

  /** Once, until it is a number again. */
  private lookAt(loss: number, notes: RunEvent[]): void {
    const isFinite = Number.isFinite(loss);
    if (!isFinite && this.isLossFinite) {
      const message = `the loss is ${Number.isNaN(loss) ? 'NaN' : 'infinite'} at step ${this.step}`;
      notes.push({ kind: 'note', step: this.step, message });
    }
    this.isLossFinite = isFinite;
  }

  private evaluation(
    rest: Map<string, number>,
    notes: RunEvent[],
  ): Pick<RunEvent & { kind: 'evaluation' }, 'metric' | 'higherIsBetter' | 'value' | 'loss'> | undefined {
    const loss = finite(takeWhere(rest, isEvaluatedLoss));
    const found = this.choose(rest);
    if (found === undefined && loss === undefined) return undefined;
    if (found === undefined) {
      // A run that is judged by another number has this one beside it.
      if (this.metric !== undefined && this.metric !== LOSS_METRIC) {
        rest.set('val_loss', loss ?? 0);
        return undefined;
      }
      this.metric = LOSS_METRIC;
      return { metric: 'loss', higherIsBetter: false, value: loss ?? 0 };
    }
    this.metric = found.metric;
    return {
      metric: found.metric.name,
      higherIsBetter: found.metric.higherIsBetter,
      value: found.metric.isShare === true ? this.percent(found.value, notes) : found.value,
      ...(loss !== undefined && { loss }),
    };
  }

  /** The number that the run is judged by, taken out; others stay. */
  private choose(rest: Map<string, number>): Found | undefined {
    const all = [...rest].flatMap(([name, value]) => {
      const metric = metricOf(name);
      const isMarked = EVALUATED.test(name);
      return metric === undefined || !Number.isFinite(value) ? [] : [{ name, metric, value, isMarked }];
    });
    this.isMarked ||= all.some(({ isMarked }) => isMarked);
    const fit = all.filter(
      ({ metric, isMarked }) =>
        isMarked === this.isMarked &&
        (this.metric === undefined || this.metric === LOSS_METRIC || metric === this.metric),
    );
    const [chosen] = fit.sort((a, b) => METRICS.indexOf(a.metric) - METRICS.indexOf(b.metric));
    if (chosen !== undefined) rest.delete(chosen.name);
    return chosen;
  }

  private percent(value: number, notes: RunEvent[]): number {
    if (value > LARGEST_SHARE && !this.hasPercent) {
      this.hasPercent = true;
      if (this.hasShares) {
        const message =
          'the values are percent: those before, of 1 and less, were shown a hundred times too large';
        notes.push({ kind: 'note', step: this.step, message });
      }
    }
    if (this.hasPercent) return value;
    this.hasShares ||= value > 0;
    return 100 * value;
  }
}

function metricOf(name: string): KnownMetric | undefined {
  const plain = name.replace(EVALUATED, '');
  return METRICS.find(({ words }) => words.includes(plain));
}

function isEvaluatedLoss(name: string): boolean {
  return EVALUATED.test(name) && name.replace(EVALUATED, '') === 'loss';
}

function take(rest: Map<string, number>, names: readonly string[]): number | undefined {
  return takeWhere(rest, (name) => names.includes(name));
}

/** The first; none of the others stays. */
function takeWhere(rest: Map<string, number>, isIt: (name: string) => boolean): number | undefined {
  const names = [...rest.keys()].filter(isIt);
  const [first] = names;
  const value = first === undefined ? undefined : rest.get(first);
  for (const name of names) rest.delete(name);
  return value;
}

function finite(value: number | undefined): number | undefined {
  return value !== undefined && Number.isFinite(value) ? value : undefined;
}

function stepOf(value: number | undefined): number | undefined {
  return value !== undefined && Number.isFinite(value) && value >= 0 ? Math.round(value) : undefined;
}
