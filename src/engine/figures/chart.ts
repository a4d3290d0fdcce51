/** Curves over two axes, with a legend whose rows can carry numbers. */
import { curve, line, moved, px, text, type Colour, type Drawn } from './svg';

export interface Axis {
  readonly label: string;
  readonly scale: 'linear' | 'logarithmic';
  readonly from: number;
  readonly to: number;
  /** Ascending, within from … to. */
  readonly ticks: readonly number[];
}

export interface Curve {
  readonly label: string;
  /** Under the legend's headings. */
  readonly numbers?: readonly string[];
  readonly colour: Colour;
  readonly dashes?: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Chart {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly curves: readonly Curve[];
  /** Of the legend's columns of numbers. */
  readonly headings?: readonly string[];
  /** A line under the legend. */
  readonly footnotes?: readonly string[];
}

const PLOT = { left: 46, top: 22, width: 330, height: 250 } as const;
const WIDTH = PLOT.left + PLOT.width + 6;
const LEGEND_LINE = 17;
const NUMBER_COLUMN = 78;
const SWATCH = 24;

export function chart({ title, x, y, curves, headings = [], footnotes = [] }: Chart): Drawn {
  const toX = pixels(x, PLOT.left, PLOT.left + PLOT.width);
  const toY = pixels(y, PLOT.top + PLOT.height, PLOT.top);
  const legendTop = PLOT.top + PLOT.height + 56;
  const footnoteTop = legendTop + LEGEND_LINE * (curves.length + (headings.length > 0 ? 1 : 0)) + 4;
  return {
    width: WIDTH,
    height: footnoteTop + LEGEND_LINE * footnotes.length - LEGEND_LINE + 4,
    svg: [
      text(PLOT.left, 8, title, { className: 'panel' }),
      axes(x, y, toX, toY),
      ...curves.map(({ points, colour, dashes }) =>
        curve(
          points.map(([px_, py]) => [toX(px_), toY(py)] as const),
          colour,
          dashes,
        ),
      ),
      moved(PLOT.left, legendTop, legend(curves, headings)),
      ...footnotes.map((note, i) =>
        text(PLOT.left, footnoteTop + LEGEND_LINE * i, note, { className: 'tick' }),
      ),
    ].join('\n'),
  };
}

function pixels({ scale, from, to }: Axis, start: number, end: number): (value: number) => number {
  const place = scale === 'linear' ? (value: number) => value : Math.log;
  const origin = place(from);
  const factor = (end - start) / (place(to) - origin);
  return (value) => start + (place(value) - origin) * factor;
}

function axes(x: Axis, y: Axis, toX: (v: number) => number, toY: (v: number) => number): string {
  const { left, top, width, height } = PLOT;
  const bottom = top + height;
  return [
    ...x.ticks.flatMap((tick) => [
      line(toX(tick), top, toX(tick), bottom, 'grid'),
      text(toX(tick), bottom + 16, tickLabel(tick), { className: 'tick', anchor: 'middle' }),
    ]),
    ...y.ticks.flatMap((tick) => [
      line(left, toY(tick), left + width, toY(tick), 'grid'),
      text(left - 6, toY(tick) + 4, tickLabel(tick), { className: 'tick', anchor: 'end' }),
    ]),
    `<rect x="${px(left)}" y="${px(top)}" width="${px(width)}" height="${px(height)}" class="frame"/>`,
    text(left + width / 2, bottom + 34, x.label, { className: 'faint', anchor: 'middle' }),
    text(11, top + height / 2, y.label, { className: 'faint', anchor: 'middle', turned: -90 }),
  ].join('\n');
}

function tickLabel(value: number): string {
  return String(value);
}

function legend(curves: readonly Curve[], headings: readonly string[]): string {
  const right = (column: number): number => PLOT.width - NUMBER_COLUMN * (headings.length - 1 - column);
  const first = headings.length > 0 ? LEGEND_LINE : 0;
  return [
    ...headings.map((heading, column) =>
      text(right(column), 0, heading, { className: 'tick', anchor: 'end' }),
    ),
    ...curves.flatMap(({ label, numbers = [], colour, dashes }, row) => {
      const baseline = first + LEGEND_LINE * row;
      const middle = baseline - 4;
      return [
        curve(
          [
            [0, middle],
            [SWATCH, middle],
          ],
          colour,
          dashes,
        ),
        text(SWATCH + 8, baseline, label),
        ...numbers.map((number, column) => text(right(column), baseline, number, { anchor: 'end' })),
      ];
    }),
  ].join('\n');
}
