/** The strip of layers × time and the means above it, as Chart.js charts whose axes stand one above the other. */
import type { ChartConfiguration, ChartDataset, Plugin } from 'chart.js';
import { blend, parseColour, type Colour } from '../../model/colours';
import { axisLabels } from '../../model/names';
import { compact, count } from '../../model/numbers';
import type { Theme } from '../../theme';
import { axisLook, BASE_OPTIONS } from '../../view/charts';
import { element } from '../../view/element';
import { meanMoments, stripPixels } from '../model/layers';
import type { XY } from '../model/points';
import type { LayersTold } from '../protocol';

/** Room for names left of the strip, in CSS pixels; a third where the plot is narrow. */
const NAMES_WIDTH = 108;
const NARROW = 420;
const NARROW_NAMES_WIDTH = 64;
/** More layers than this are numbered here and there instead of named. */
const MAX_NAMED = 18;
const STEPS_OF_COLOUR = 64;

/** What is drawn besides the cells: where a pointer or a key is. */
export interface StripMarks {
  moment: number | undefined;
  layer: number | undefined;
  told: LayersTold | undefined;
  theme: Theme;
}

/** Colours of a share of 0 … 1: from nothing to the theme's colour of used. */
export function shareColours(theme: Theme): (share: number) => readonly [number, number, number] {
  const ends = [theme.gridLine, theme.background, theme.utilized].map(parseColour);
  const [low, background, high] = [ends[0], ends[1] ?? BLACK, ends[2] ?? BLACK];
  const from = low === undefined ? background : blend(low, background, 0.6);
  const table = Array.from({ length: STEPS_OF_COLOUR }, (_, i) => {
    const { red, green, blue } = blend(high, from, i / (STEPS_OF_COLOUR - 1));
    return [Math.round(red), Math.round(green), Math.round(blue)] as const;
  });
  return (share) => table[Math.round(share * (STEPS_OF_COLOUR - 1))] ?? [0, 0, 0];
}

const BLACK: Colour = { red: 0, green: 0, blue: 0, alpha: 1 };

export function stripConfig(marks: StripMarks): ChartConfiguration<'line', XY[]> {
  const { theme } = marks;
  const x = axisLook(theme, 'step');
  const y = axisLook(theme, '');
  return {
    type: 'line',
    data: { datasets: [] },
    options: {
      ...BASE_OPTIONS,
      scales: {
        x: {
          ...x,
          ...{ type: 'linear', min: -0.5, max: Math.max(0, momentsOf(marks) - 1) + 0.5 },
          grid: { display: false },
          ticks: {
            ...x.ticks,
            ...{ maxRotation: 0, autoSkipPadding: 16, maxTicksLimit: 8, includeBounds: false, precision: 0 },
            callback: (value) => momentText(marks, Number(value)),
          },
        },
        y: {
          ...y,
          ...{ type: 'linear', reverse: true, min: -0.5, max: Math.max(0, layersOf(marks) - 1) + 0.5 },
          ...{ grid: { display: false }, title: { display: false } },
          afterFit: (scale) => {
            scale.width = namesWidth(scale.chart.width);
          },
          // Every layer where there is room for its name.
          afterBuildTicks: (scale) => {
            scale.ticks = layerTicks(layersOf(marks)).map((value) => ({ value }));
          },
          ticks: {
            ...y.ticks,
            autoSkip: false,
            crossAlign: 'far',
            callback: (value) => layerText(marks, Number(value)),
          },
        },
      },
    },
    plugins: [stripPlugin(marks)],
  };
}

/** Utilized rank and rank, means over the layers: above the strip, moment by moment. */
export function meansConfig(marks: StripMarks): ChartConfiguration<'line', XY[]> {
  const { theme, told } = marks;
  const y = axisLook(theme, '');
  const means = told === undefined ? [] : meanMoments(told);
  const line = (
    of: (mean: (typeof means)[number]) => number,
    colour: string,
    dash: number[],
  ): ChartDataset<'line', XY[]> => ({
    data: means.map((mean, i) => ({ x: i, y: of(mean) })),
    ...{ borderColor: colour, borderDash: dash, borderWidth: 2 },
    pointRadius: means.length === 1 ? 3 : 0,
    pointBackgroundColor: colour,
  });
  return {
    type: 'line',
    data: {
      datasets: [
        line(({ utilized }) => utilized, theme.utilized, []),
        line(({ rank }) => rank, theme.description, [5, 4]),
      ],
    },
    options: {
      ...BASE_OPTIONS,
      ...{ parsing: false, normalized: true },
      scales: {
        x: { type: 'linear', display: false, min: -0.5, max: Math.max(0, means.length - 1) + 0.5 },
        y: {
          ...y,
          ...{ min: 0, max: 1, title: { display: false } },
          afterFit: (scale) => {
            scale.width = namesWidth(scale.chart.width);
          },
          ticks: {
            ...y.ticks,
            stepSize: 0.5,
            callback: (value) => `${Math.round(100 * Number(value))}\u00a0%`,
          },
        },
      },
    },
  };
}

function namesWidth(width: number): number {
  return width < NARROW ? NARROW_NAMES_WIDTH : NAMES_WIDTH;
}

function momentsOf({ told }: StripMarks): number {
  return told?.steps.length ?? 0;
}

function layersOf({ told }: StripMarks): number {
  return told?.names.length ?? 0;
}

function momentText({ told }: StripMarks, value: number): string {
  const step = told?.steps[value];
  return step === undefined ? '' : step >= 100_000 ? compact(step) : count(step);
}

function layerTicks(layers: number): number[] {
  if (layers <= MAX_NAMED) return Array.from({ length: layers }, (_, i) => i);
  const stride = [10, 20, 50, 100, 200, 500, 1000].find((candidate) => layers / candidate <= 8) ?? 5000;
  return Array.from({ length: Math.floor((layers - 1) / stride) + 1 }, (_, i) => i * stride);
}

function layerText({ told }: StripMarks, value: number): string {
  if (told === undefined) return '';
  if (told.names.length > MAX_NAMED) return `#${count(value + 1)}`;
  return axisLabels(told.names, 15)[value] ?? '';
}

function stripPlugin(marks: StripMarks): Plugin<'line'> {
  let picture:
    { readonly of: LayersTold; readonly theme: Theme; readonly canvas: HTMLCanvasElement } | undefined;
  return {
    id: 'strip',
    beforeDatasetsDraw({ ctx, chartArea, scales }) {
      const { told, theme } = marks;
      if (told === undefined || told.steps.length === 0 || told.names.length === 0) return;
      if (picture?.of !== told || picture.theme !== theme)
        picture = { of: told, theme, canvas: stripPicture(told, theme) };
      const { left, top, width, height } = chartArea;
      ctx.save();
      ctx.imageSmoothingEnabled = false;
      ctx.drawImage(picture.canvas, left, top, width, height);
      const [x, y] = [scales.x, scales.y];
      ctx.strokeStyle = theme.foreground;
      ctx.lineWidth = 1;
      if (marks.moment !== undefined && x !== undefined) {
        const half = width / told.steps.length / 2;
        ctx.strokeRect(x.getPixelForValue(marks.moment) - half, top, 2 * half, height);
      }
      if (marks.layer !== undefined && y !== undefined) {
        const half = Math.max(2, height / told.names.length / 2);
        ctx.strokeRect(left, y.getPixelForValue(marks.layer) - half, width, 2 * half);
      }
      ctx.restore();
    },
  };
}

function stripPicture(told: LayersTold, theme: Theme): HTMLCanvasElement {
  const canvas = element('canvas');
  canvas.width = told.steps.length;
  canvas.height = told.names.length;
  const pixels = stripPixels(told, shareColours(theme));
  canvas.getContext('2d')?.putImageData(new ImageData(pixels, canvas.width, canvas.height), 0, 0);
  return canvas;
}
