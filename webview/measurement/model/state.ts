/** What the host has told: messages → state. Pure; every message gives a new state and leaves the old one whole. */
import type { Progress } from '../../../src/engine/progress';
import type { Probe, UtilizationDocument } from '../../../src/engine/utilizationDocument';
import type { UtilizationStage } from '../../../src/engine/utilizationProtocol';
import type { PageUtilization, ToUtilization } from '../protocol';

type Opened = Omit<Extract<ToUtilization, { type: 'opened' }>, 'type'>;

export type Phase =
  /** The network is being opened. */
  | { readonly kind: 'opening' }
  | { readonly kind: 'running' }
  | { readonly kind: 'done'; readonly document: UtilizationDocument }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'cancelled' };

/** A layer in the network's order; `result` once it is measured. */
export interface MeasuredLayer {
  readonly name: string;
  readonly shape: readonly [number, number];
  /** r_0.9999(W). */
  readonly rank: number;
  readonly result?: PageUtilization;
}

export interface MeasurementState {
  readonly phase: Phase;
  readonly opened?: Opened;
  readonly layers: readonly MeasuredLayer[];
  readonly finished: number;
  /** By layer, in the order in which they were made. */
  readonly probes: ReadonlyMap<string, readonly Probe[]>;
  readonly passes: number;
  readonly stage?: UtilizationStage;
  readonly progress?: Progress;
  readonly notices: readonly string[];
}

export const NOTHING_YET: MeasurementState = {
  phase: { kind: 'opening' },
  layers: [],
  finished: 0,
  probes: new Map(),
  passes: 0,
  notices: [],
};

/** Older notices make room: the bar must not grow over the page. */
const MAX_NOTICES = 3;

export function isBusy({ phase }: MeasurementState): boolean {
  return phase.kind === 'opening' || phase.kind === 'running';
}

/** The result is there, and a decomposed checkpoint is being written from it: that has stages of its own. */
export function isWriting({ phase, stage }: MeasurementState): boolean {
  return phase.kind === 'done' && stage !== undefined;
}

export function receive(
  state: MeasurementState,
  message: Exclude<ToUtilization, { type: 'reply' }>,
): MeasurementState {
  switch (message.type) {
    case 'opened': {
      const { type: _, ...opened } = message;
      const { notices } = state;
      return { ...NOTHING_YET, phase: { kind: 'running' }, opened, layers: opened.layers, notices };
    }
    case 'layers':
      return withLayers(state, message.layers);
    case 'probes':
      return withProbes(state, message.probes);
    case 'stage':
      return { ...state, stage: message.stage };
    case 'progress':
      return { ...state, progress: message.progress };
    case 'done':
      return { ...ended(state), phase: { kind: 'done', document: message.document } };
    case 'failed':
      return { ...ended(state), phase: { kind: 'failed', message: message.message } };
    case 'cancelled':
      return { ...ended(state), phase: { kind: 'cancelled' } };
    case 'notice': {
      const others = state.notices.filter((notice) => notice !== message.message);
      return { ...state, notices: [...others, message.message].slice(-MAX_NOTICES) };
    }
  }
}

/** It was asked for again: what was wrong is no longer said. */
export function restarting(state: MeasurementState): MeasurementState {
  return { ...ended(state), phase: { kind: 'opening' } };
}

export function withoutNotice(state: MeasurementState, notice: string): MeasurementState {
  return { ...state, notices: state.notices.filter((other) => other !== notice) };
}

function ended({ progress: _progress, stage: _stage, ...rest }: MeasurementState): MeasurementState {
  return rest;
}

function withLayers(
  state: MeasurementState,
  told: readonly { readonly index: number; readonly layer: PageUtilization }[],
): MeasurementState {
  const layers = state.layers.slice();
  let { finished } = state;
  for (const { index, layer } of told) {
    const before = layers[index];
    if (before?.name !== layer.name) continue;
    if (before.result === undefined) finished++;
    layers[index] = { ...before, result: layer };
  }
  return { ...state, layers, finished };
}

function withProbes(
  state: MeasurementState,
  told: readonly { readonly layer: string; readonly probe: Probe }[],
): MeasurementState {
  const probes = new Map(state.probes);
  for (const { layer, probe } of told) probes.set(layer, [...(probes.get(layer) ?? []), probe]);
  return { ...state, probes, passes: state.passes + told.length };
}
