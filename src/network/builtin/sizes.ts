import { countOf } from '../../checkpoint/wording';

/** @throws Error unless it is a whole number from `least` on */
export function requireWhole(what: string, value: number, least = 1): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new Error(`${what} is ${value}: a whole number from ${least} on is needed`);
}

/** A width times a factor, at least 1. @throws Error when the factor is no number above 0 */
export function scaledWidth(width: number, factor: number): number {
  if (!(Number.isFinite(factor) && factor > 0))
    throw new Error(`widthFactor is ${factor}: a number above 0 is needed`);
  return Math.max(1, Math.round(width * factor));
}

/** `10 classes`. */
export function classesOf(count: number): string {
  return countOf(count, 'class', 'classes');
}
