/** What the host has told: messages → state. Pure; every message gives a new state and leaves the old one whole. */
import type {
  AuditDocument,
  AuditSummary,
  CheckpointFacts,
  LayerAudit,
  SkippedTensor,
} from '../../src/engine/document';
import type { Progress } from '../../src/engine/progress';
import type { PanelLayerAudit, ToPanel, VerdictShown } from '../protocol';

export type LayerFacts = Omit<LayerAudit, 'singularValues'>;

export interface PanelLayer {
  readonly facts: LayerFacts;
  /** Descending; empty when the host sent none. A typed array: a quarter of the memory, and no boxes to chase. */
  readonly spectrum: Float64Array;
}

/** A line of the audit in file order; `layer` is absent until its numbers are there. */
export interface Slot {
  readonly name: string;
  readonly layer?: PanelLayer;
}

export type Phase =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'running' }
  | { readonly kind: 'done'; readonly seconds: number }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'cancelled' };

export interface Backend {
  readonly name: string;
  readonly build: string;
  readonly threads?: number;
  /** Why this one computes. */
  readonly why?: string;
}

export interface AuditState {
  readonly phase: Phase;
  readonly checkpoint?: CheckpointFacts;
  readonly backend?: Backend;
  readonly progress?: Progress;
  /** Of the slots; the same list as long as the names are the same. */
  readonly names: readonly string[];
  readonly slots: readonly Slot[];
  readonly finished: number;
  /** Known when the audit is done. */
  readonly skipped?: readonly SkippedTensor[];
  readonly summary?: AuditSummary;
  readonly notices: readonly string[];
  /** Absent until the file was inspected. */
  readonly verdict?: VerdictShown;
  /** Utilized ranks by layer name, where a search has measured them. */
  readonly utilizedRanks: ReadonlyMap<string, number>;
}

export const NOTHING_YET: AuditState = {
  phase: { kind: 'waiting' },
  names: [],
  slots: [],
  finished: 0,
  notices: [],
  utilizedRanks: new Map(),
};

/** Older notices make room: the bar must not grow over the page. */
const MAX_NOTICES = 3;

export function receive(state: AuditState, message: ToPanel): AuditState {
  switch (message.type) {
    case 'opened':
      return opened(state, message);
    case 'layers':
      return withLayers(state, message.layers);
    case 'progress':
      return { ...state, progress: message.progress };
    case 'done':
      return done(state, message.document);
    case 'failed':
      return { ...state, phase: { kind: 'failed', message: message.message } };
    case 'cancelled':
      return { ...state, phase: { kind: 'cancelled' } };
    case 'verdict':
      return { ...state, verdict: message.verdict };
    case 'notice':
      return withNotice(state, message.message);
    case 'reply':
      return state;
  }
}

/** The audit was asked for again: what was wrong is no longer said. */
export function restarting(state: AuditState): AuditState {
  const { progress: _, ...rest } = state;
  return { ...rest, phase: { kind: 'waiting' } };
}

export function withoutNotice(state: AuditState, notice: string): AuditState {
  return { ...state, notices: state.notices.filter((other) => other !== notice) };
}

function opened(state: AuditState, message: Extract<ToPanel, { type: 'opened' }>): AuditState {
  return {
    phase: { kind: 'running' },
    checkpoint: message.checkpoint,
    backend: message.backend,
    names: message.layerNames,
    slots: message.layerNames.map((name) => ({ name })),
    finished: 0,
    notices: state.notices,
    utilizedRanks: state.utilizedRanks,
    ...(state.verdict !== undefined && { verdict: state.verdict }),
  };
}

function withLayers(state: AuditState, layers: Extract<ToPanel, { type: 'layers' }>['layers']): AuditState {
  const slots = state.slots.slice();
  let finished = state.finished;
  for (const { index, layer } of layers) {
    const before = slots[index];
    // Layers of an audit that this page has not seen opened, or has seen replaced.
    if (before?.name !== layer.name) continue;
    if (before.layer === undefined) finished++;
    slots[index] = { name: layer.name, layer: panelLayer(layer) };
  }
  return { ...state, slots, finished };
}

function done(state: AuditState, document: AuditDocument): AuditState {
  const { name, build } = document.backend;
  const { threads, why } = state.backend ?? {};
  // The document leaves spectra out: all of them have streamed in before it.
  const spectra = new Map(state.slots.map(({ name, layer }) => [name, layer?.spectrum]));
  const { progress: _, ...rest } = state;
  const names = document.layers.map(({ name: layer }) => layer);
  const same = names.length === state.names.length && names.every((layer, i) => layer === state.names[i]);
  return {
    ...rest,
    names: same ? state.names : names,
    phase: { kind: 'done', seconds: document.seconds },
    checkpoint: document.checkpoint,
    backend: {
      ...{ name, build },
      ...(threads !== undefined && { threads }),
      ...(why !== undefined && { why }),
    },
    slots: document.layers.map(({ singularValues: _values, ...facts }) => ({
      name: facts.name,
      layer: { facts, spectrum: spectra.get(facts.name) ?? NO_SPECTRUM },
    })),
    finished: document.layers.length,
    skipped: document.skipped,
    summary: document.summary,
  };
}

const NO_SPECTRUM = new Float64Array();

function panelLayer({ singularValues = NO_SPECTRUM, ...facts }: PanelLayerAudit): PanelLayer {
  return { facts, spectrum: new Float64Array(singularValues) };
}

function withNotice(state: AuditState, notice: string): AuditState {
  const others = state.notices.filter((other) => other !== notice);
  return { ...state, notices: [...others, notice].slice(-MAX_NOTICES) };
}
