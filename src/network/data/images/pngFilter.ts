import type { Fail } from './picture';

/**
 * Undoes the filters of PNG (§9) in place: each line is a filter byte and the differences to what came before.
 *
 * @param step bytes between a byte and its left neighbour
 */
export function unfilter(lines: Uint8Array, lineBytes: number, rows: number, step: number, fail: Fail): void {
  let above: Uint8Array = new Uint8Array(lineBytes);
  for (let row = 0; row < rows; row++) {
    const start = row * (lineBytes + 1);
    const line = lines.subarray(start + 1, start + 1 + lineBytes);
    unfilterLine(lines[start] ?? 0, line, above, step, fail);
    above = line;
  }
}

function unfilterLine(filter: number, line: Uint8Array, above: Uint8Array, step: number, fail: Fail): void {
  const left = (i: number): number => (i < step ? 0 : (line[i - step] ?? 0));
  const up = (i: number): number => above[i] ?? 0;
  const add = (predict: (i: number) => number): void => {
    for (let i = 0; i < line.length; i++) line[i] = (line[i] ?? 0) + predict(i);
  };
  switch (filter) {
    case 0:
      return;
    case 1:
      add(left);
      return;
    case 2:
      add(up);
      return;
    case 3:
      add((i) => (left(i) + up(i)) >> 1);
      return;
    case 4:
      add((i) => paeth(left(i), up(i), i < step ? 0 : (above[i - step] ?? 0)));
      return;
    default:
      throw fail('malformed', `a PNG line of filter ${filter}`);
  }
}

/** Whichever of left, above and upper left is nearest to left + above − upper left; ties in this order. */
function paeth(a: number, b: number, c: number): number {
  const [toA, toB, toC] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  if (toA <= toB && toA <= toC) return a;
  return toB <= toC ? b : c;
}
