/** Pieces of SVG that all figures are made of, and their looks in light and dark. */

/** Colours by theme: the figure follows what its viewer prefers. */
const STYLE = `
  svg { --paper: #ffffff; --ink: #1f2328; --faint: #656d76; --grid: #e6e8eb; --frame: #afb8c1;
    --gray: #8c959f; --blue: #0a69c9; --orange: #c2560c; --green: #1a7f37;
    --ramp0: #b58900; --ramp1: #d9691e; --ramp2: #d03a6a; --ramp3: #9a3bb0; --ramp4: #5b4fd0; --ramp5: #0a69c9; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #16181c; --ink: #e6e8eb; --faint: #9aa4af; --grid: #2b3036; --frame: #565f69;
      --gray: #8c959f; --blue: #62aefc; --orange: #f79a53; --green: #56c271;
      --ramp0: #e3b93c; --ramp1: #ff9a5c; --ramp2: #fb7aa0; --ramp3: #d58be8; --ramp4: #a49bff; --ramp5: #62aefc; }
  }
  text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: var(--ink);
    font-variant-numeric: tabular-nums; }
  .title { font-size: 15px; font-weight: 600; }
  .panel { font-size: 13px; font-weight: 600; }
  .faint, .tick { fill: var(--faint); }
  .tick { font-size: 11px; }
  .grid { stroke: var(--grid); }
  .frame { fill: none; stroke: var(--frame); }
  .curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
  image { image-rendering: pixelated; }
`;

/** A colour of {@link STYLE}. */
export type Colour = 'ink' | 'gray' | 'blue' | 'orange' | 'green' | `ramp${0 | 1 | 2 | 3 | 4 | 5}`;

/** Something drawn, and the room it takes from (0, 0), in pixels. */
export interface Drawn {
  readonly width: number;
  readonly height: number;
  readonly svg: string;
}

/** A coordinate, to a hundredth of a pixel. */
export function px(value: number): string {
  return String(Math.round(value * 100) / 100);
}

export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

interface TextLooks {
  readonly className?: string;
  readonly anchor?: 'start' | 'middle' | 'end';
  /** Degrees, about (x, y). */
  readonly turned?: number;
}

/** Text whose baseline begins, is centred or ends at (x, y). */
export function text(x: number, y: number, content: string, looks: TextLooks = {}): string {
  const { className, anchor = 'start', turned } = looks;
  const attributes = [
    `x="${px(x)}" y="${px(y)}"`,
    ...(className === undefined ? [] : [`class="${className}"`]),
    ...(anchor === 'start' ? [] : [`text-anchor="${anchor}"`]),
    ...(turned === undefined ? [] : [`transform="rotate(${turned} ${px(x)} ${px(y)})"`]),
  ];
  return `<text ${attributes.join(' ')}>${escapeText(content)}</text>`;
}

export function line(x1: number, y1: number, x2: number, y2: number, className: string): string {
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" class="${className}"/>`;
}

export function curve(
  points: readonly (readonly [number, number])[],
  colour: Colour,
  dashes?: string,
): string {
  const path = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${px(x)} ${px(y)}`).join('');
  const dashed = dashes === undefined ? '' : ` stroke-dasharray="${dashes}"`;
  return `<path class="curve" style="stroke: var(--${colour})"${dashed} d="${path}"/>`;
}

export function moved(x: number, y: number, svg: string): string {
  return `<g transform="translate(${px(x)} ${px(y)})">${svg}</g>`;
}

const MARGIN = 20;
const GAP = 28;
const LINE = 16;

/** Characters of the caption that fit into a pixel, roughly; the text is 12 pixels high. */
const CHARACTERS_PER_PIXEL = 1 / 6.1;

/** A whole figure: title, panels beside each other, caption. */
export function figureSvg(title: string, caption: string, panels: readonly Drawn[]): string {
  const inner = panels.reduce((sum, { width }) => sum + width, GAP * (panels.length - 1));
  const width = inner + 2 * MARGIN;
  const lines = wrapped(caption, Math.floor(inner * CHARACTERS_PER_PIXEL));
  const top = MARGIN + 30;
  const bottom = top + Math.max(...panels.map(({ height }) => height)) + 26;
  const height = bottom + LINE * (lines.length - 1) + MARGIN;
  let x = MARGIN;
  const placed = panels.map((panel) => {
    const group = moved(x, top, panel.svg);
    x += panel.width + GAP;
    return group;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="${px(width)}" height="${px(height)}" viewBox="0 0 ${px(width)} ${px(height)}" role="img" aria-labelledby="title caption">
<title id="title">${escapeText(title)}</title>
<desc id="caption">${escapeText(caption)}</desc>
<style>${STYLE}</style>
<rect width="100%" height="100%" style="fill: var(--paper)"/>
${text(MARGIN, MARGIN + 12, title, { className: 'title' })}
${placed.join('\n')}
${lines.map((content, i) => text(MARGIN, bottom + LINE * i, content, { className: 'faint' })).join('\n')}
</svg>
`;
}

function wrapped(content: string, columns: number): string[] {
  const lines: string[] = [];
  let current = '';
  for (const word of content.split(' ')) {
    if (current !== '' && current.length + 1 + word.length > columns) {
      lines.push(current);
      current = word;
    } else current = current === '' ? word : `${current} ${word}`;
  }
  return [...lines, current];
}
