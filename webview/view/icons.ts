/** The page's few pictures, drawn on a 16 × 16 grid in the colour of the text around them. */

const PATHS = {
  chevronDown: 'M4 6.5l4 4 4-4',
  chevronRight: 'M6.5 4l4 4-4 4',
  close: 'M4.5 4.5l7 7M11.5 4.5l-7 7',
  copy: 'M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z',
  table: 'M2.5 3.5h11v9h-11zM2.5 6.5h11M2.5 9.5h11M6.5 3.5v9',
  chart: 'M2.5 2.5v11h11M5.5 11V8.5M8.5 11V4.5M11.5 11V6.5',
  wave: 'M1.5 8C3.7 1.5 5.8 1.5 8 8s4.3 6.5 6.5 0',
  error: 'M8 2a6 6 0 1 0 0 12A6 6 0 1 0 8 2zM8 5v4M8 10.6v.8',
  info: 'M8 2a6 6 0 1 0 0 12A6 6 0 1 0 8 2zM8 7.2v4M8 4.7v.8',
  warning: 'M8 2.5l6.2 11H1.8zM8 6.5v3.4M8 11.3v.8',
  shield: 'M8 2l5 1.8v3.9c0 3-2.1 5.2-5 6.3-2.9-1.1-5-3.3-5-6.3V3.8zM5.8 8l1.6 1.6 2.9-3.1',
} as const;

const SVG = 'http://www.w3.org/2000/svg';

export function icon(name: keyof typeof PATHS): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}
