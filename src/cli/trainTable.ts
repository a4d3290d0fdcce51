import { printable } from '../checkpoint/errors';
import type { Display } from '../engine/report/display';
import { clock, count, percent } from '../engine/report/quantities';
import type { TrainedRun, TrainingDocument, TrainingGroup } from '../engine/trainingDocument';
import { renderColumns, type Column, type RowNames } from './columns';
import { bar, pad, paint, wrap, type Style } from './terminal';

const RUNS: RowNames<TrainedRun> = { of: ({ label }) => printable(label), isPath: () => false };

const [FEWEST_CELLS, BAR_CELLS] = [6, 30];

/** Evaluations that a line of blocks shows. */
const CURVE_CELLS = 16;

const EIGHTHS = '▁▂▃▄▅▆▇█';

const STATES: Readonly<Partial<Record<TrainedRun['state'], Style>>> = {
  done: 'green',
  running: 'cyan',
  failed: 'yellow',
  diverged: 'yellow',
  lost: 'yellow',
};

const UNITS: Readonly<Record<string, string>> = { accuracy: ' %', iou: ' %', psnr: ' dB' };

const METRICS: Readonly<Record<string, string>> = {
  accuracy: 'Accuracy',
  iou: 'IoU',
  psnr: 'PSNR',
  perplexity: 'Perplexity',
};

function columnsFor(runs: readonly TrainedRun[]): readonly Column<TrainedRun>[] {
  const range = rangeOf(runs);
  const metric = runs.find((run) => run.metric !== undefined)?.metric;
  return [
    {
      header: 'STATE',
      align: 'left',
      expendable: 1,
      cell: ({ state }) => state,
      style: ({ state }) => STATES[state],
    },
    {
      header: 'STEP',
      align: 'right',
      expendable: 4,
      cell: ({ step, steps }) =>
        step === undefined ? '' : `${step}${steps === undefined ? '' : `/${steps}`}`,
    },
    {
      header: '',
      align: 'left',
      expendable: 3,
      cell: ({ evaluations }, display) =>
        display.width === undefined || !display.unicode ? '' : curveText(evaluations, range),
    },
    {
      header: 'LOSS',
      align: 'right',
      expendable: 5,
      cell: ({ loss }) => (loss === undefined ? '' : digits(loss)),
    },
    {
      header: (metric ?? '').toUpperCase(),
      align: 'right',
      expendable: 0,
      cell: ({ value }) => (value === undefined ? '' : figure(value, metric)),
    },
    {
      header: 'BEST',
      align: 'right',
      expendable: 2,
      cell: ({ best }) => (best === undefined ? '' : figure(best.value, metric)),
    },
    {
      header: 'USED',
      align: 'right',
      expendable: 6,
      cell: ({ utilization }) => (utilization === undefined ? '' : percent(utilization.utilized)),
    },
    {
      header: 'PARAMETERS',
      align: 'right',
      expendable: 3,
      cell: ({ parameters }) => (parameters === undefined ? '' : count(parameters.total)),
    },
    {
      header: 'TIME',
      align: 'right',
      expendable: 2,
      cell: ({ seconds }) => clock(seconds),
    },
  ];
}

/** Runs for people: a table, what held them up, and the comparison where there is something to compare. */
export function renderRuns({ runs, comparison }: TrainingDocument, display: Display): string {
  const lines = [...renderColumns(runs, columnsFor(runs), RUNS, display)];
  // The first column names runs, not layers.
  lines[0] = (lines[0] ?? '').replace('LAYER', 'RUN  ');
  const troubles = runs.flatMap(({ label, state, message }) =>
    message === undefined ? [] : wrap(`${printable(label)} ${state}: ${printable(message)}`, display.width),
  );
  if (troubles.length > 0) lines.push('', ...troubles);
  const compared = comparison.filter(({ mean }) => mean !== undefined);
  if (compared.length > 1) lines.push('', ...renderComparison(compared, runs, display));
  const folders = runs.map(({ folder }) => folder);
  if (folders.length > 0) lines.push('', 'Written', ...folders.map((folder) => `  ${printable(folder)}`));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}

/** One bar for each group, all on one scale. */
function renderComparison(
  groups: readonly TrainingGroup[],
  runs: readonly TrainedRun[],
  display: Display,
): string[] {
  const { metric, higherIsBetter = true } = runs.find((run) => run.metric !== undefined) ?? {};
  const values = groups.flatMap(({ mean }) => (mean === undefined ? [] : [mean]));
  const [least, most] = [Math.min(...values), Math.max(...values)];
  // From 0, unless all differences would then be too small to be seen.
  const from = least > 0.5 * most ? least - 0.5 * (most - least || most) : Math.min(0, least);
  const width = Math.max(...groups.map(({ label }) => label.length));
  const best = higherIsBetter ? most : least;
  const name = METRICS[metric ?? ''] ?? metric ?? 'Metric';
  const direction = higherIsBetter ? '' : ', lower is better';
  const textOf = ({ mean = NaN, deviation, compressionRate }: TrainingGroup, isShort: boolean): string => {
    const spread = deviation === undefined ? '' : ` ${display.unicode ? '±' : '+-'} ${digits(deviation)}`;
    const of = isShort ? '' : ' of the parameters';
    const size = compressionRate === undefined ? '' : `  ${percent(compressionRate)}${of}`;
    return `${figure(mean, metric)}${spread}${size}`;
  };
  const roomFor = (texts: readonly string[]): number =>
    (display.width ?? Infinity) - width - Math.max(...texts.map((text) => text.length)) - 4;
  const long = groups.map((group) => textOf(group, false));
  const texts = roomFor(long) >= FEWEST_CELLS ? long : groups.map((group) => textOf(group, true));
  const room = roomFor(texts);
  const cells = Math.max(FEWEST_CELLS, Math.min(BAR_CELLS, room));
  return [
    paint(`${name} at the end${direction}`, 'bold', display),
    ...groups.map(({ label, mean = NaN }, i) => {
      const fill = bar((mean - from) / (most - from || 1), cells, display);
      const style = mean === best ? 'green' : undefined;
      return `${pad(label, width, 'left')}  ${paint(fill, style, display)}  ${texts[i] ?? ''}`;
    }),
  ];
}

function figure(value: number, metric: string | undefined): string {
  return `${value.toFixed(2)}${UNITS[metric ?? ''] ?? ''}`;
}

function digits(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function rangeOf(runs: readonly TrainedRun[]): readonly [number, number] {
  const values = runs
    .flatMap(({ evaluations }) => evaluations.map(({ value }) => value))
    .filter(Number.isFinite);
  return [
    values.reduce((a, b) => Math.min(a, b), Infinity),
    values.reduce((a, b) => Math.max(a, b), -Infinity),
  ];
}

/** Evaluations as blocks of eight heights, all runs on one scale. */
function curveText(
  evaluations: readonly { readonly value: number }[],
  [least, most]: readonly [number, number],
): string {
  const shown = Math.min(CURVE_CELLS, evaluations.length);
  return Array.from({ length: shown }, (_, i) => {
    const { value = NaN } =
      evaluations[Math.round((i * (evaluations.length - 1)) / Math.max(1, shown - 1))] ?? {};
    const share = (value - least) / (most - least || 1);
    return EIGHTHS[Math.round(7 * Math.min(1, Math.max(0, share)))] ?? ' ';
  }).join('');
}
