/** The theme's colours as numbers for canvases, read again when the theme changes. */
import { blend, cssColour, legible, parseColour, type Colour } from './model/colours';

export interface Theme {
  readonly background: string;
  readonly foreground: string;
  readonly description: string;
  readonly gridLine: string;
  /** Behind the bar or below the line that a pointer or a key is at. */
  readonly cursor: string;
  readonly border: string;
  readonly highContrast: boolean;
  readonly possible: string;
  readonly rank: string;
  /** Rank where utilized rank is drawn over it. */
  readonly rankBehind: string;
  readonly utilized: string;
  readonly edge: string;
  /** Of overlaid curves, in order. */
  readonly series: readonly string[];
  readonly fontFamily: string;
  readonly fontSize: number;
}

const SERIES = ['blue', 'orange', 'green', 'purple', 'red', 'yellow'] as const;

export function readTheme(): Theme {
  const probe = document.createElement('span');
  probe.hidden = true;
  document.body.append(probe);
  const colour = (...variables: readonly string[]) => resolve(probe, variables);
  const background = colour('--vscode-editor-background', 'Canvas');
  const foreground = colour('--vscode-foreground', 'CanvasText');
  const over = (top: Colour, share: number) => cssColour(blend(top, background, share));
  const chart = (name: string) =>
    legible(colour(`--vscode-charts-${name}`, '--vscode-foreground'), background, foreground);
  const blue = chart('blue');
  const classes = document.body.classList;
  const highContrast =
    classes.contains('vscode-high-contrast') || classes.contains('vscode-high-contrast-light');
  const style = getComputedStyle(document.body);
  const theme: Theme = {
    background: cssColour(background),
    foreground: cssColour(foreground),
    description: cssColour(colour('--vscode-descriptionForeground', '--vscode-foreground')),
    gridLine: over(foreground, highContrast ? 0.3 : 0.1),
    cursor: cssColour({ ...foreground, alpha: highContrast ? 0.25 : 0.09 }),
    border: cssColour(colour('--vscode-contrastBorder', '--vscode-foreground')),
    highContrast,
    possible: over(foreground, highContrast ? 0.35 : 0.16),
    rank: cssColour(blue),
    rankBehind: over(blue, 0.5),
    utilized: cssColour(blue),
    edge: cssColour(chart('orange')),
    series: SERIES.map((name) => cssColour(chart(name))),
    fontFamily: style.fontFamily,
    fontSize: Math.max(10, Math.round(parseFloat(style.fontSize) * 0.85)),
  };
  probe.remove();
  return theme;
}

/** The first of the variables (or system colours) that the theme defines. */
function resolve(probe: HTMLElement, variables: readonly string[]): Colour {
  const expression = variables.reduceRight(
    (otherwise, name) => (name.startsWith('--') ? `var(${name}${otherwise && `, ${otherwise}`})` : name),
    '',
  );
  probe.style.color = expression;
  return parseColour(getComputedStyle(probe).color) ?? { red: 128, green: 128, blue: 128, alpha: 1 };
}

/** VS Code changes the body's class and the root's style when the theme changes. */
export function onThemeChange(changed: () => void): void {
  const observer = new MutationObserver(changed);
  observer.observe(document.body, { attributes: true, attributeFilter: ['class', 'data-vscode-theme-id'] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style', 'class'] });
}
