/** The parts of Chart.js in use, and what all plots here have in common. */
import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  PointElement,
  type ChartOptions,
  type Plugin,
  type ScaleOptionsByType,
} from 'chart.js';
import type { Theme } from '../theme';

Chart.register(BarController, BarElement, LineController, LineElement, PointElement);
Chart.register(CategoryScale, LinearScale, LogarithmicScale);

export { Chart };

/** No animation: results stream in, and motion would only blur them. Pointer and keys are handled by the views. */
export const BASE_OPTIONS = {
  animation: false,
  responsive: true,
  maintainAspectRatio: false,
  events: [],
  layout: { padding: { top: 8, right: 10 } },
} as const satisfies ChartOptions;

/** Grid lines, ticks and title of an axis, in the theme's colours. */
export function axisLook(theme: Theme, title: string) {
  const font = { family: theme.fontFamily, size: theme.fontSize };
  return {
    grid: { color: theme.gridLine, drawTicks: false },
    border: { color: theme.gridLine },
    ticks: { color: theme.description, font, padding: 6 },
    title: { display: true, text: title, color: theme.description, font, padding: 2 },
  } as const;
}

export type AxisTicks = ScaleOptionsByType['ticks'];

/** Horizontal lines with a word at their right end. */
export interface ReferenceLine {
  readonly y: number;
  readonly colour: string;
  readonly dash: readonly number[];
  readonly label?: string;
}

export interface Overlay {
  lines: readonly ReferenceLine[];
  /** Data coordinate on the x axis that a pointer or a key is at. */
  cursor: number | undefined;
  /** The theme of the last configuration: a chart keeps its plugins when the theme changes. */
  theme?: Theme;
}

/** Draws reference lines below the curves' labels and the cursor above the grid. */
export function overlayPlugin(overlay: Overlay, theme: () => Theme): Plugin<'line'> {
  return {
    id: 'overlay',
    beforeDatasetsDraw(chart) {
      const { ctx, chartArea, scales } = chart;
      const [x, y] = [scales.x, scales.y];
      if (x === undefined || y === undefined) return;
      ctx.save();
      for (const line of overlay.lines) {
        const at = Math.round(y.getPixelForValue(line.y)) + 0.5;
        if (at < chartArea.top - 1 || at > chartArea.bottom + 1) continue;
        drawLine(ctx, [chartArea.left, at], [chartArea.right, at], line.colour, line.dash);
        if (line.label !== undefined)
          drawLabel(
            ctx,
            line.label,
            [chartArea.right - 4, roomAbove(at, chartArea.top, theme())],
            theme(),
            line.colour,
          );
      }
      if (overlay.cursor !== undefined) {
        const at = Math.round(x.getPixelForValue(overlay.cursor)) + 0.5;
        drawLine(ctx, [at, chartArea.top], [at, chartArea.bottom], theme().description, []);
      }
      ctx.restore();
    },
  };
}

/** Bottom of a label: above its line, or below where the plot's upper edge is too near. */
function roomAbove(at: number, top: number, { fontSize }: Theme): number {
  return at - fontSize - 3 >= top ? at - 3 : at + fontSize + 5;
}

type Corner = readonly [x: number, y: number];

function drawLine(
  ctx: CanvasRenderingContext2D,
  from: Corner,
  to: Corner,
  colour: string,
  dash: readonly number[],
): void {
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.setLineDash([...dash]);
  ctx.beginPath();
  ctx.moveTo(...from);
  ctx.lineTo(...to);
  ctx.stroke();
}

function drawLabel(
  ctx: CanvasRenderingContext2D,
  text: string,
  [right, bottom]: Corner,
  theme: Theme,
  colour: string,
): void {
  ctx.font = `${theme.fontSize}px ${theme.fontFamily}`;
  ctx.textAlign = 'right';
  ctx.textBaseline = 'bottom';
  ctx.lineWidth = 3;
  ctx.setLineDash([]);
  ctx.strokeStyle = theme.background;
  ctx.strokeText(text, right, bottom);
  ctx.fillStyle = colour;
  ctx.fillText(text, right, bottom);
}
