/**
 * What a run told, kept small: a run of a million steps takes as much memory, here and in the page, as one of a thousand.
 * Points in a row are taken together as soon as there are too many; means, least and largest values stay true.
 */
import type { CurveId, LayersTold, RunEvent } from '../../../webview/training/protocol';

/** Numbers of a point: step, epoch, seconds, mean, least, largest. */
export const POINT = 6;

/** More points than a wide screen has columns gain nothing; never fewer than half of this are kept. */
export const MAX_POINTS = 1024;

/** Room at first; doubles up to `MAX_POINTS`. */
const FIRST_POINTS = 32;

/** Moments of which each layer is known. */
export const MAX_MOMENTS = 96;

/** Curves of a run: a script may report numbers under any name. */
const MAX_CURVES = 40;

/** The newest notes of a run; older ones are in its log. */
const MAX_NOTES = 20;

/** Where an event happened; NaN where it is not known. */
interface Place {
  readonly step: number;
  readonly epoch: number;
  readonly seconds: number;
}

/** One quantity over time, in at most `MAX_POINTS` points that stand for equally many events each (but the last). */
export class BoundedCurve {
  /** Grows: most runs are short. */
  private values = new Float64Array(FIRST_POINTS * POINT);
  private length = 0;
  /** Events a point stands for, and those that the last one has. */
  private span = 1;
  private filled = 0;
  /** First point that is other than when `take` was last called. */
  private dirty = 0;

  add({ step, epoch, seconds }: Place, value: number): void {
    if (this.length === 0 || this.filled === this.span) this.begin();
    const at = (this.length - 1) * POINT;
    const { values, filled } = this;
    values.set([step, epoch, seconds], at);
    const [mean = 0, least = 0, largest = 0] = values.subarray(at + 3, at + POINT);
    const now =
      filled === 0
        ? [value, value, value]
        : [mean + (value - mean) / (filled + 1), Math.min(least, value), Math.max(largest, value)];
    values.set(now, at + 3);
    this.filled++;
    this.dirty = Math.min(this.dirty, this.length - 1);
  }

  /** Points that were not taken yet; undefined when there are none. */
  take(): { readonly from: number; readonly values: Float64Array } | undefined {
    const from = this.dirty;
    if (from >= this.length) return undefined;
    this.dirty = this.length;
    return { from, values: this.values.slice(from * POINT, this.length * POINT) };
  }

  /** Whoever takes knows nothing any more. */
  untake(): void {
    this.dirty = 0;
  }

  get hasUntaken(): boolean {
    return this.dirty < this.length;
  }

  /** Numbers that `take` would give. */
  get untaken(): number {
    return (this.length - this.dirty) * POINT;
  }

  private begin(): void {
    if (this.length === MAX_POINTS) this.halve();
    else if (this.length * POINT === this.values.length) this.grow();
    this.length++;
    this.filled = 0;
  }

  private grow(): void {
    const values = new Float64Array(2 * this.values.length);
    values.set(this.values);
    this.values = values;
  }

  private halve(): void {
    const { values } = this;
    this.length /= 2;
    for (let i = 0; i < this.length; i++) {
      const [first, second] = [2 * i * POINT, (2 * i + 1) * POINT];
      const mean = ((values[first + 3] ?? 0) + (values[second + 3] ?? 0)) / 2;
      const least = Math.min(values[first + 4] ?? 0, values[second + 4] ?? 0);
      const largest = Math.max(values[first + 5] ?? 0, values[second + 5] ?? 0);
      values.copyWithin(i * POINT, second, second + 3);
      values.set([mean, least, largest], i * POINT + 3);
    }
    this.span *= 2;
    this.filled = this.span;
    this.dirty = 0;
  }
}

type Utilization = Extract<RunEvent, { kind: 'utilization' }>;

/** Layers over time: every `stride`-th moment, and always the newest. */
class LayerHistory {
  private moments: Utilization[] = [];
  private stride = 1;
  private seen = 0;

  add(event: Utilization): void {
    // Other layers than before: what was kept is of another network.
    if (this.moments[0]?.layers.length !== event.layers.length) {
      this.moments = [];
      this.stride = 1;
      this.seen = 0;
    }
    const last = this.seen - 1;
    // The newest so far gives way unless its turn had come.
    if (last >= 0 && last % this.stride !== 0) this.moments.pop();
    this.moments.push(event);
    this.seen++;
    if (this.moments.length < MAX_MOMENTS) return;
    this.moments = this.moments.filter((_, i) => i % 2 === 0 || i === this.moments.length - 1);
    this.stride *= 2;
  }

  told(folder: string): LayersTold | undefined {
    const newest = this.moments.at(-1);
    if (newest === undefined) return undefined;
    const { layers } = newest;
    const grid = (of: (layer: Utilization['layers'][number]) => number): Float32Array =>
      Float32Array.from(this.moments.flatMap((moment) => moment.layers.map(of)));
    return {
      folder,
      names: layers.map(({ name }) => name),
      maxRanks: layers.map(({ maxRank }) => maxRank),
      steps: this.moments.map(({ step }) => step),
      utilized: grid(({ utilizedRank }) => utilizedRank),
      ranks: grid(({ rank }) => rank),
    };
  }
}

/** A remark of a run, and when it was made. */
export interface Note {
  readonly step?: number;
  readonly message: string;
}

/** All that one run told. */
export class RunSeries {
  readonly curves = new Map<CurveId, BoundedCurve>();
  private readonly history = new LayerHistory();
  private kept: Note[] = [];
  private count = 0;
  private epoch = NaN;
  private seconds = NaN;

  /** Events taken in so far. */
  get length(): number {
    return this.count;
  }

  get notes(): readonly Note[] {
    return this.kept;
  }

  layers(folder: string): LayersTold | undefined {
    return this.history.told(folder);
  }

  add(event: RunEvent): void {
    this.count++;
    if (event.kind === 'note') {
      const { step, message } = event;
      const note = { message: textOf(message), ...(step !== undefined && { step }) };
      this.kept = [...this.kept, note].slice(-MAX_NOTES);
      return;
    }
    const place = this.placeOf(event);
    switch (event.kind) {
      case 'train':
        this.point('loss', place, event.loss);
        this.point('learningRate', place, event.learningRate);
        this.point('throughput', place, event.samplesPerSecond);
        for (const [name, value] of Object.entries(event.more ?? {}))
          this.point(`more:${name}`, place, value);
        return;
      case 'evaluation':
        this.point(`metric:${event.metric}`, place, event.value);
        this.point('validationLoss', place, event.loss);
        return;
      case 'utilization':
        this.point('utilized', place, event.utilized);
        this.point('original', place, event.original);
        if (namesLayers(event)) this.history.add(event);
        return;
    }
  }

  /** Not every kind of event says how long the run has taken: then it is as long as was said last. */
  private placeOf(event: Exclude<RunEvent, { kind: 'note' }>): Place {
    if (known(event.epoch)) this.epoch = event.epoch;
    if (event.kind !== 'utilization' && known(event.seconds)) this.seconds = event.seconds;
    return { step: event.step, epoch: known(event.epoch) ? event.epoch : this.epoch, seconds: this.seconds };
  }

  /** What a script wrote may be anything: what is no number makes no point. */
  private point(id: CurveId, place: Place, value: number | undefined): void {
    if (!known(value) || !Number.isFinite(place.step)) return;
    let curve = this.curves.get(id);
    if (curve === undefined) {
      if (this.curves.size >= MAX_CURVES) return;
      curve = new BoundedCurve();
      this.curves.set(id, curve);
    }
    curve.add(place, value);
  }
}

/** A script may have written the event, with anything in it. */
function namesLayers({ layers }: { readonly layers: unknown }): boolean {
  if (!Array.isArray(layers)) return false;
  const all: readonly unknown[] = layers;
  return all.every(
    (layer) =>
      typeof layer === 'object' &&
      layer !== null &&
      'name' in layer &&
      typeof layer.name === 'string' &&
      ['maxRank', 'rank', 'utilizedRank'].every((key) => Number.isFinite(Reflect.get(layer, key))),
  );
}

function textOf(message: unknown): string {
  return typeof message === 'string' ? message : JSON.stringify(message);
}

function known(value: number | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
