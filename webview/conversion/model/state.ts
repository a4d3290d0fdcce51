/** What the host has told: messages → state. Pure; every message gives a new state and leaves the old one whole. */
import type { ConversionDocument } from '../../../src/engine/conversionDocument';
import type { ConversionPreview } from '../../../src/engine/conversionProtocol';
import type { Progress } from '../../../src/engine/progress';
import type { BackendShown } from '../../protocol';
import type { CallReply, ConversionChoices, PageLayer, ToConversion } from '../protocol';

export type Phase =
  /** Nothing was converted yet. */
  | { readonly kind: 'idle' }
  /** Asked for; the file is being opened. */
  | { readonly kind: 'starting' }
  | { readonly kind: 'running' }
  | { readonly kind: 'done'; readonly document: ConversionDocument }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'cancelled' };

export interface ConversionState {
  readonly phase: Phase;
  readonly preview?: ConversionPreview;
  /** Where files go unless told otherwise. */
  readonly folder: string;
  /** Why there is no preview. */
  readonly previewFailure?: string;
  /** Of the conversion under way or done. */
  readonly choices?: ConversionChoices;
  readonly progress?: Progress;
  readonly backend?: BackendShown;
  /** Names of the layers that are converted, in file order. */
  readonly names: readonly string[];
  /** Finished layers by name. */
  readonly layers: ReadonlyMap<string, PageLayer>;
  readonly notices: readonly string[];
}

export const NOTHING_YET: ConversionState = {
  phase: { kind: 'idle' },
  folder: '',
  names: [],
  layers: new Map(),
  notices: [],
};

/** Older notices make room: the bar must not grow over the page. */
const MAX_NOTICES = 3;

export function isBusy({ phase }: ConversionState): boolean {
  return phase.kind === 'starting' || phase.kind === 'running';
}

/** @param message `show` is for the view, and changes nothing here. */
export function receive(state: ConversionState, message: Exclude<ToConversion, CallReply>): ConversionState {
  switch (message.type) {
    case 'preview': {
      const { previewFailure: _, ...rest } = state;
      return { ...rest, preview: message.preview, folder: message.folder };
    }
    case 'previewFailed':
      return { ...state, previewFailure: message.message };
    case 'show':
      return state;
    case 'started':
      return { ...withoutProgress(state), choices: message.choices, phase: { kind: 'starting' } };
    case 'opened': {
      const { layerNames: names, backend } = message;
      return { ...withoutProgress(state), phase: { kind: 'running' }, names, backend, layers: new Map() };
    }
    case 'layers':
      return { ...state, layers: withLayers(state.layers, message.layers) };
    case 'progress':
      return { ...state, progress: message.progress };
    case 'done':
      return done(state, message.document);
    case 'failed':
      return { ...withoutProgress(state), phase: { kind: 'failed', message: message.message } };
    case 'cancelled':
      return { ...withoutProgress(state), phase: { kind: 'cancelled' } };
    case 'notice': {
      const others = state.notices.filter((notice) => notice !== message.message);
      return { ...state, notices: [...others, message.message].slice(-MAX_NOTICES) };
    }
  }
}

export function withoutNotice(state: ConversionState, notice: string): ConversionState {
  return { ...state, notices: state.notices.filter((other) => other !== notice) };
}

function withoutProgress({ progress: _, ...rest }: ConversionState): ConversionState {
  return rest;
}

function withLayers(
  before: ReadonlyMap<string, PageLayer>,
  layers: readonly { readonly layer: PageLayer }[],
): ReadonlyMap<string, PageLayer> {
  const after = new Map(before);
  for (const { layer } of layers) after.set(layer.name, layer);
  return after;
}

/** The document is complete but for the spectra, which streamed in before it. */
function done(state: ConversionState, document: ConversionDocument): ConversionState {
  const layers = new Map<string, PageLayer>();
  for (const { ...layer } of document.layers) {
    if (layer.outcome === 'dense') {
      layers.set(layer.name, layer);
      continue;
    }
    const { spectra: _, ...facts } = layer;
    const before = state.layers.get(layer.name);
    const spectra = before?.outcome === 'converted' ? before.spectra : undefined;
    layers.set(layer.name, { ...facts, ...(spectra !== undefined && { spectra }) });
  }
  return { ...withoutProgress(state), phase: { kind: 'done', document }, layers };
}
