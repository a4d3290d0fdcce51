/** The metric of runs over their steps, as one picture. */
import type { TrainedRun, TrainingDocument } from '../trainingDocument';
import { chart, type Axis, type Curve } from './chart';
import { figureSvg, type Colour } from './svg';

/** More runs than this are a list, no comparison of curves. */
const MAX_CURVES = 24;

/** Each form has its colour, as in the panel. */
const COLOURS: Readonly<Record<TrainedRun['form'], Colour>> = {
  dense: 'gray',
  'low-rank': 'blue',
  sine: 'orange',
  lora: 'blue',
  'sine-lora': 'orange',
  mixed: 'green',
  'as-checkpoint': 'green',
  script: 'ink',
};

/** Ranks of one form are told apart by their dashes. */
const DASHES = [undefined, '6 3', '2 3', '8 3 2 3'] as const;

const METRICS: Readonly<Record<string, string>> = {
  accuracy: 'accuracy, %',
  iou: 'IoU, %',
  psnr: 'PSNR, dB',
  perplexity: 'perplexity',
};

/** An SVG of the runs' evaluations. */
export function renderTrainingFigure({ recipe, runs }: TrainingDocument): string {
  const drawn = runs.filter(({ evaluations }) => evaluations.length > 0).slice(0, MAX_CURVES);
  const points = drawn.flatMap(({ evaluations }) => evaluations);
  const metric = drawn[0]?.metric ?? '';
  const ranks = [...new Set(drawn.map(({ rank }) => rank))];
  const name = recipe.split(/[/\\]/).at(-1) ?? recipe;
  const panel = chart({
    title: METRICS[metric] ?? metric,
    x: axis(
      'step',
      points.map(({ step }) => step),
    ),
    y: axis(
      METRICS[metric] ?? metric,
      points.map(({ value }) => value),
    ),
    curves: drawn.map((run) => curveOf(run, ranks)),
    headings: ['at the end', 'best'],
  });
  const seconds = runs.reduce((sum, run) => sum + run.seconds, 0);
  const left = runs.length - drawn.length;
  const caption = `${drawn.length} runs of ${name}, ${Math.round(seconds)} s of training${left > 0 ? `; ${left} more are not drawn` : ''}`;
  return figureSvg(`Training ${name.replace(/\.rankscope\.json$/i, '')}`, caption, [panel]);
}

function curveOf(
  { label, form, rank, evaluations, value, best }: TrainedRun,
  ranks: readonly unknown[],
): Curve {
  const dashes = DASHES[ranks.indexOf(rank) % DASHES.length];
  return {
    label,
    colour: COLOURS[form],
    ...(dashes !== undefined && form !== 'dense' && { dashes }),
    numbers: [value, best?.value].map((number) => (number === undefined ? '' : number.toFixed(2))),
    points: evaluations.map((evaluation) => [evaluation.step, evaluation.value] as const),
  };
}

/** Round numbers around the values. */
function axis(label: string, values: readonly number[]): Axis {
  const finite = values.filter(Number.isFinite);
  const least = finite.reduce((a, b) => Math.min(a, b), Infinity);
  const most = finite.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!(most > least)) {
    const at = Number.isFinite(least) ? least : 0;
    return { label, scale: 'linear', from: at - 1, to: at + 1, ticks: [at] };
  }
  const rough = (most - least) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? rough;
  const from = Math.floor(least / step) * step;
  const to = Math.ceil(most / step) * step;
  const count = Math.round((to - from) / step);
  const ticks = Array.from({ length: count + 1 }, (_, i) => Number((from + i * step).toPrecision(12)));
  return { label, scale: 'linear', from, to, ticks };
}
