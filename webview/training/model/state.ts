/** What the host has told: messages → state. Pure; every message gives a new state and leaves the old one whole. */
import type {
  CurveId,
  CurvePart,
  LayersTold,
  RecipeLook,
  RunState,
  RunSummary,
  ToTraining,
} from '../protocol';

/** Numbers of a point: step, epoch, seconds, mean, least, largest. */
export const POINT = 6;

/** A curve as it was told: see `CurvePart`. */
export type CurveValues = Float64Array;

export interface Note {
  readonly step?: number;
  readonly message: string;
}

export interface TrainingState {
  /** All runs are known: none means that there is none. */
  readonly complete: boolean;
  /** By folder. */
  readonly runs: ReadonlyMap<string, RunSummary>;
  /** By folder, then by what is told. */
  readonly curves: ReadonlyMap<string, ReadonlyMap<CurveId, CurveValues>>;
  readonly notes: ReadonlyMap<string, readonly Note[]>;
  /** Of the run whose layers were asked for. */
  readonly layers?: LayersTold;
  readonly look?: RecipeLook;
  readonly trusted: boolean;
  readonly failure?: string;
  readonly notices: readonly string[];
}

export const NOTHING_YET: TrainingState = {
  complete: false,
  runs: new Map(),
  curves: new Map(),
  notes: new Map(),
  // Until it is known: a page that takes back what it offered looks broken.
  trusted: true,
  notices: [],
};

/** Older notices make room: the bar must not grow over the page. */
const MAX_NOTICES = 3;

/** It goes on, or waits for its turn, until somebody or something ends it. */
export function isLive(state: RunState): boolean {
  return state === 'queued' || state === 'running' || state === 'stopping';
}

/** It ended before its time, and goes on when it is resumed. */
export function isResumable({ status: { state } }: RunSummary): boolean {
  return state === 'stopped' || state === 'failed' || state === 'lost';
}

export function receive(
  state: TrainingState,
  message: Exclude<ToTraining, { type: 'reply' }>,
): TrainingState {
  switch (message.type) {
    case 'recipe':
      return { ...state, look: message.look, trusted: message.trusted };
    case 'runs':
      return withRuns(withoutFailure(state), message.runs, message.complete);
    case 'gone':
      return without(state, message.folders);
    case 'void':
      return withoutTold(state, message.folders);
    case 'curves':
      return { ...state, curves: withCurves(state.curves, message.curves) };
    case 'layers':
      return { ...state, layers: message.layers };
    case 'notes':
      return { ...state, notes: new Map(state.notes).set(message.folder, message.notes) };
    case 'failed':
      return { ...state, failure: message.message };
    case 'notice': {
      const others = state.notices.filter((notice) => notice !== message.message);
      return { ...state, notices: [...others, message.message].slice(-MAX_NOTICES) };
    }
  }
}

export function withoutNotice(state: TrainingState, notice: string): TrainingState {
  return { ...state, notices: state.notices.filter((other) => other !== notice) };
}

export function withoutFailure({ failure: _, ...rest }: TrainingState): TrainingState {
  return rest;
}

function withRuns(state: TrainingState, told: readonly RunSummary[], complete: boolean): TrainingState {
  if (told.length === 0) return { ...state, complete };
  const runs = new Map(state.runs);
  for (const run of told) runs.set(run.folder, run);
  return { ...state, complete, runs };
}

function without(state: TrainingState, folders: readonly string[]): TrainingState {
  const runs = new Map(state.runs);
  for (const folder of folders) runs.delete(folder);
  return { ...withoutTold(state, folders), runs };
}

function withoutTold(state: TrainingState, folders: readonly string[]): TrainingState {
  const [curves, notes] = [new Map(state.curves), new Map(state.notes)];
  for (const folder of folders) {
    curves.delete(folder);
    notes.delete(folder);
  }
  const { layers, ...rest } = state;
  const keeps = layers !== undefined && !folders.includes(layers.folder);
  return { ...rest, curves, notes, ...(keeps && { layers }) };
}

function withCurves(before: TrainingState['curves'], parts: readonly CurvePart[]): TrainingState['curves'] {
  const curves = new Map(before);
  for (const { folder, id, from, values } of parts) {
    const ofRun = new Map(curves.get(folder) ?? []);
    ofRun.set(id, joined(ofRun.get(id), from, values));
    curves.set(folder, ofRun);
  }
  return curves;
}

/** Points before `from` stay; those told take the place of all others. */
function joined(before: CurveValues | undefined, from: number, values: CurveValues): CurveValues {
  if (before === undefined || from === 0) return values;
  const kept = before.subarray(0, from * POINT);
  const all = new Float64Array(kept.length + values.length);
  all.set(kept);
  all.set(values, kept.length);
  return all;
}
