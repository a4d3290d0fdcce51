/** A plot as a picture for a paper or an issue: title, plot and legend on the theme's background, whatever the panel's size. */
import type { ChartConfiguration, ChartType } from 'chart.js';
import { shortenMiddle } from '../model/names';
import type { Theme } from '../theme';
import { Chart } from './charts';
import { element } from './element';

export interface PictureWords {
  readonly title: string;
  readonly subtitle: string;
  readonly legend: readonly { readonly text: string; readonly colour: string }[];
}

const WIDTH = 1000;
const PLOT_HEIGHT = 440;
const MARGIN = 20;
const HEAD = 60;
const LEGEND_LINE = 20;
/** Pixels a CSS pixel: sharp in print. */
const DENSITY = 2;

/** @returns the bytes of a PNG file */
export async function plotPicture<T extends ChartType, D>(
  config: ChartConfiguration<T, D>,
  words: PictureWords,
  theme: Theme,
): Promise<Uint8Array> {
  const plot = drawPlot(config);
  const height = HEAD + PLOT_HEIGHT + words.legend.length * LEGEND_LINE + 2 * MARGIN;
  const canvas = element('canvas');
  canvas.width = WIDTH * DENSITY;
  canvas.height = height * DENSITY;
  const ctx = canvas.getContext('2d');
  if (ctx === null) throw new Error('The page cannot draw.');
  ctx.scale(DENSITY, DENSITY);
  ctx.fillStyle = theme.background;
  ctx.fillRect(0, 0, WIDTH, height);
  drawWords(ctx, words, theme);
  ctx.drawImage(plot, MARGIN, HEAD + MARGIN / 2, WIDTH - 2 * MARGIN, PLOT_HEIGHT);
  const blob = await new Promise<Blob | null>((resolve) => {
    canvas.toBlob(resolve, 'image/png');
  });
  if (blob === null) throw new Error('The page cannot make a PNG.');
  return new Uint8Array(await blob.arrayBuffer());
}

function drawPlot<T extends ChartType, D>(config: ChartConfiguration<T, D>): HTMLCanvasElement {
  const canvas = element('canvas');
  canvas.width = WIDTH - 2 * MARGIN;
  canvas.height = PLOT_HEIGHT;
  const still = { responsive: false, devicePixelRatio: DENSITY, animation: false } as const;
  // Chart.js types its options by chart type; these three are common to all types.
  const options = Object.assign({}, config.options, still) as NonNullable<
    ChartConfiguration<T, D>['options']
  >;
  new Chart(canvas, Object.assign({}, config, { options }));
  return canvas;
}

function drawWords(ctx: CanvasRenderingContext2D, words: PictureWords, theme: Theme): void {
  ctx.textBaseline = 'alphabetic';
  ctx.fillStyle = theme.foreground;
  ctx.font = `600 16px ${theme.fontFamily}`;
  ctx.fillText(words.title, MARGIN, MARGIN + 14);
  ctx.font = `12px ${theme.fontFamily}`;
  ctx.fillStyle = theme.description;
  ctx.fillText(shortenMiddle(words.subtitle, 130), MARGIN, MARGIN + 34);
  words.legend.forEach(({ text, colour }, i) => {
    const y = HEAD + PLOT_HEIGHT + MARGIN + i * LEGEND_LINE;
    ctx.fillStyle = colour;
    ctx.fillRect(MARGIN, y + 4, 12, 8);
    ctx.fillStyle = theme.foreground;
    ctx.fillText(shortenMiddle(text, 120), MARGIN + 20, y + 12);
  });
}
