/** Colours as a theme gives them, and blends of them: a canvas cannot read CSS variables. */

export interface Colour {
  readonly red: number;
  readonly green: number;
  readonly blue: number;
  readonly alpha: number;
}

/** `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.5)`, as `getComputedStyle` writes colours; undefined for anything else. */
export function parseColour(text: string): Colour | undefined {
  const numbers =
    /^rgba?\(([^)]*)\)$/
      .exec(text.trim())?.[1]
      ?.split(/[\s,/]+/)
      .map(Number) ?? [];
  const [red, green, blue, alpha = 1] = numbers;
  if (red === undefined || green === undefined || blue === undefined) return undefined;
  return [red, green, blue, alpha].every(Number.isFinite) ? { red, green, blue, alpha } : undefined;
}

/** `share` of `over`, the rest of `under`; opaque where `under` is. */
export function blend(over: Colour, under: Colour, share: number): Colour {
  const of = share * over.alpha;
  const mix = (a: number, b: number) => a * of + b * (1 - of);
  return {
    red: mix(over.red, under.red),
    green: mix(over.green, under.green),
    blue: mix(over.blue, under.blue),
    alpha: of + under.alpha * (1 - of),
  };
}

/** Least contrast of a line with what is behind it (WCAG 2.1, success criterion 1.4.11). */
const LINE_CONTRAST = 3;

/** Share of the foreground mixed in at a time until a colour shows. */
const STEP = 0.1;

/**
 * A theme's chart colour as one that shows on its background: opaque (some themes borrow translucent highlights), and
 * nearer to the foreground where its contrast is too low.
 */
export function legible(colour: Colour, background: Colour, foreground: Colour): Colour {
  const opaque = { ...colour, alpha: 1 };
  for (let share = 0; share < 1; share += STEP) {
    const mixed = blend(foreground, opaque, share);
    if (contrast(mixed, background) >= LINE_CONTRAST) return mixed;
  }
  return foreground;
}

/** Contrast ratio of two opaque colours, 1 … 21 (WCAG 2.1). */
export function contrast(a: Colour, b: Colour): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

/** Relative luminance of an sRGB colour, 0 … 1 (WCAG 2.1). */
function luminance({ red, green, blue }: Colour): number {
  const linear = (channel: number): number => {
    const value = channel / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

export function cssColour({ red, green, blue, alpha }: Colour): string {
  const [r, g, b] = [red, green, blue].map(Math.round);
  return `rgba(${r ?? 0}, ${g ?? 0}, ${b ?? 0}, ${Number(alpha.toFixed(3))})`;
}
