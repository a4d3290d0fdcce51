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

export function cssColour({ red, green, blue, alpha }: Colour): string {
  const [r, g, b] = [red, green, blue].map(Math.round);
  return `rgba(${r ?? 0}, ${g ?? 0}, ${b ?? 0}, ${Number(alpha.toFixed(3))})`;
}
