/** Reading a page's stored state: nothing in it is taken for granted. */

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

export function oneOf<T extends string>(value: unknown, allowed: readonly T[], otherwise: T): T {
  return allowed.find((candidate) => candidate === value) ?? otherwise;
}

export function pixels(value: unknown): number {
  return typeof value === 'number' && value >= 0 && value < Infinity ? value : 0;
}
