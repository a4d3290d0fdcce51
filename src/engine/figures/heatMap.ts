import type { HeatMapPanel } from '../figuresDocument';
import { encodePng } from './png';
import { px, text, type Drawn } from './svg';

/** Pixels an entry is drawn with: whole ones, so that entries stay squares. */
const PIXELS_PER_ENTRY = 2;

/** Blue for negative, pale for zero, red for positive: legible on light and dark paper, and to the colour-blind. */
const STOPS = [
  [20, 52, 104],
  [62, 120, 186],
  [160, 196, 226],
  [244, 243, 240],
  [238, 176, 142],
  [200, 86, 62],
  [104, 20, 28],
] as const;

/** An odd number, so that zero has a colour of its own. */
const SHADES = 255;

const TOP = 22;

/** The entries as an image, coloured from −max to max of their own. */
export function heatMap({ title, matrix, values }: HeatMapPanel): Drawn {
  const [rows, columns] = matrix.shape;
  const largest = values.reduce(
    (most, row) => row.reduce((m, value) => Math.max(m, Math.abs(value)), most),
    0,
  );
  const pixels = Uint8Array.from(values.flat(), (value) =>
    Math.round(((largest === 0 ? 0 : value / largest) + 1) * ((SHADES - 1) / 2)),
  );
  const png = encodePng(pixels, columns, rows, PALETTE).toString('base64');
  const [width, height] = [columns * PIXELS_PER_ENTRY, rows * PIXELS_PER_ENTRY];
  const size = `width="${px(width)}" height="${px(height)}"`;
  const below = TOP + height;
  return {
    width,
    height: below + 56,
    svg: [
      text(0, 8, title, { className: 'panel' }),
      `<image x="0" y="${TOP}" ${size} href="data:image/png;base64,${png}"/>`,
      `<rect x="0" y="${TOP}" ${size} class="frame"/>`,
      colourBar(below + 10, width),
      text(0, below + 34, `−${largest.toPrecision(2)}`, { className: 'tick' }),
      text(width / 2, below + 34, '0', { className: 'tick', anchor: 'middle' }),
      text(width, below + 34, largest.toPrecision(2), { className: 'tick', anchor: 'end' }),
      text(
        0,
        below + 54,
        `stable rank ${matrix.stableRank.toFixed(1)}, r(0.99) ${matrix.energyRanks['0.99']}`,
      ),
    ].join('\n'),
  };
}

const PALETTE = Array.from({ length: SHADES }, (_, shade): readonly [number, number, number] => {
  const place = (shade / (SHADES - 1)) * (STOPS.length - 1);
  const lower = Math.min(Math.floor(place), STOPS.length - 2);
  const [from, to] = [STOPS[lower] ?? STOPS[0], STOPS[lower + 1] ?? STOPS[0]];
  const mix = (channel: 0 | 1 | 2): number =>
    Math.round(from[channel] + (to[channel] - from[channel]) * (place - lower));
  return [mix(0), mix(1), mix(2)];
});

/** Every shade once, from −max to max. */
function colourBar(y: number, width: number): string {
  const strip = encodePng(
    Uint8Array.from(PALETTE, (_, shade) => shade),
    SHADES,
    1,
    PALETTE,
  ).toString('base64');
  return (
    `<image x="0" y="${px(y)}" width="${px(width)}" height="8" preserveAspectRatio="none" ` +
    `href="data:image/png;base64,${strip}"/>`
  );
}
