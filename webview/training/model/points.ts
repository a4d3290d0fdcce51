/** Curves as points to draw: chosen, smoothed, and never more than can be seen. */
import { POINT, type CurveValues } from './state';

export interface XY {
  readonly x: number;
  readonly y: number;
}

export type XAxis = 'step' | 'epoch' | 'seconds';

const X_FIELD: Readonly<Record<XAxis, number>> = { step: 0, epoch: 1, seconds: 2 };
const MEAN_FIELD = 3;

/** Share of the past in each smoothed value. */
const SMOOTHING = 0.9;

export interface PointLook {
  readonly x: XAxis;
  /** A logarithm is taken of it: what is not above zero has none. */
  readonly log: boolean;
  readonly smooth: boolean;
}

/** What was made of a curve's values: they never change, a curve that grew has others. */
const made = new WeakMap<CurveValues, Map<string, readonly XY[]>>();

/** Points of a curve from left to right; those without a place on the axis are left out. */
export function pointsOf(values: CurveValues, look: PointLook): readonly XY[] {
  const key = `${look.x} ${String(look.log)} ${String(look.smooth)}`;
  let known = made.get(values);
  if (known === undefined) {
    known = new Map();
    made.set(values, known);
  }
  let points = known.get(key);
  if (points === undefined) {
    points = makePoints(values, look);
    known.set(key, points);
  }
  return points;
}

function makePoints(values: CurveValues, { x, log, smooth }: PointLook): readonly XY[] {
  const points: XY[] = [];
  for (let at = 0; at + POINT <= values.length; at += POINT) {
    const point = { x: values[at + X_FIELD[x]] ?? NaN, y: values[at + MEAN_FIELD] ?? NaN };
    if (Number.isFinite(point.x) && Number.isFinite(point.y)) points.push(point);
  }
  const smoothed = smooth ? smoothedPoints(points) : points;
  return log ? smoothed.filter(({ y }) => y > 0) : smoothed;
}

/** Exponential moving mean that does not start from zero. */
export function smoothedPoints(points: readonly XY[]): readonly XY[] {
  let [sum, weight] = [0, 0];
  return points.map(({ x, y }) => {
    sum = SMOOTHING * sum + (1 - SMOOTHING) * y;
    weight = SMOOTHING * weight + (1 - SMOOTHING);
    return { x, y: sum / weight };
  });
}

/**
 * At most `most` of the points: the first, the last, and the least and the largest of every stretch between, so that no
 * peak is lost.
 */
export function thinned(points: readonly XY[], most: number): readonly XY[] {
  const [first, last] = [points[0], points.at(-1)];
  if (points.length <= most || first === undefined || last === undefined) return points;
  const stretches = Math.max(1, Math.floor((most - 2) / 2));
  const kept: XY[] = [first];
  for (let i = 0; i < stretches; i++) {
    const from = 1 + Math.floor((i * (points.length - 2)) / stretches);
    const to = 1 + Math.floor(((i + 1) * (points.length - 2)) / stretches);
    kept.push(...extremes(points, from, to));
  }
  kept.push(last);
  return kept;
}

/** Least and largest of a stretch, in their order. */
function extremes(points: readonly XY[], from: number, to: number): readonly XY[] {
  let [least, largest] = [from, from];
  for (let i = from; i < to; i++) {
    const y = points[i]?.y ?? 0;
    if (y < (points[least]?.y ?? 0)) least = i;
    if (y > (points[largest]?.y ?? 0)) largest = i;
  }
  const found = least === largest ? [least] : [Math.min(least, largest), Math.max(least, largest)];
  return found.flatMap((i) => points[i] ?? []);
}

/** Points of a mean: as many as the eye follows. */
const MEAN_POINTS = 240;

/** Mean of several curves as far as all of them have come; undefined where there is no such stretch. */
export function meanOf(curves: readonly (readonly XY[])[]): readonly XY[] | undefined {
  const drawn = curves.filter((points) => points.length > 0);
  const from = Math.max(...drawn.map((points) => points[0]?.x ?? Infinity));
  const to = Math.min(...drawn.map((points) => points.at(-1)?.x ?? -Infinity));
  const [longest] = [...drawn].sort((a, b) => b.length - a.length);
  if (longest === undefined || drawn.length < 2 || from > to) return undefined;
  const within = longest.map(({ x }) => x).filter((x) => x >= from && x <= to);
  const places = every(within.length > 0 ? within : [from, to], MEAN_POINTS);
  return places.map((x) => ({
    x,
    y: drawn.reduce((sum, points) => sum + (valueAt(points, x) ?? 0), 0) / drawn.length,
  }));
}

/** Evenly chosen, with the first and the last. */
export function every<T>(items: readonly T[], most: number): readonly T[] {
  if (items.length <= most) return items;
  return Array.from({ length: most }, (_, i) => Math.round((i * (items.length - 1)) / (most - 1))).flatMap(
    (i) => items[i] ?? [],
  );
}

/** Value at a place: between two points on the line through them; undefined outside. */
export function valueAt(points: readonly XY[], x: number): number | undefined {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || x < first.x || x > last.x) return undefined;
  let [low, high] = [0, points.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((points[middle]?.x ?? Infinity) <= x) low = middle;
    else high = middle;
  }
  const [left, right] = [points[low] ?? first, points[high] ?? last];
  if (x >= right.x) return right.y;
  const width = right.x - left.x;
  return width === 0 ? left.y : left.y + ((x - left.x) / width) * (right.y - left.y);
}
