/**
 * What the conversion panel and the extension host say to each other. Types only: the page imports nothing else of the
 * host. Every message is plain data; tensor names in it are hostile text and are only ever set as text.
 */
import type { ConversionDocument, ConvertedLayer, DenseLayer } from '../../src/engine/conversionDocument';
import type {
  ConversionPreview,
  RankChoice,
  SineSpectrum,
  SineSpectrumParams,
} from '../../src/engine/conversionProtocol';
import type { CheckpointFacts } from '../../src/engine/document';
import type { Progress } from '../../src/engine/progress';
import type { BackendShown } from '../protocol';

/** What the form offers of the ways to choose ranks. */
export type FormRanks = Exclude<RankChoice, { kind: 'perLayer' }>;

/** What a person chose in the form. */
export interface ConversionChoices {
  readonly ranks: FormRanks;
  /** Source of a regular expression; absent for all layers that are converted by default. */
  readonly layers?: string;
  readonly materialize: boolean;
  /** Absolute path of the folder for the files; absent: beside the checkpoint. */
  readonly out?: string;
}

/** Singular values as typed arrays: VS Code hands their bytes on, where arrays of numbers become text twice. */
export interface PageSpectra {
  readonly original: Float64Array;
  readonly lowRank: Float64Array;
  readonly converted: Float64Array;
}

export type PageLayer = (Omit<ConvertedLayer, 'spectra'> & { readonly spectra?: PageSpectra }) | DenseLayer;

export type PageSineSpectrum = Omit<SineSpectrum, 'original' | 'lowRank' | 'sine'> & {
  readonly original: Float64Array;
  readonly lowRank: Float64Array;
  readonly sine: Float64Array;
};

/** The files of a conversion, by what they are. */
export type WrittenFile = keyof ConversionDocument['files'];

/** Host → page. */
export type ToConversion =
  /** What the checkpoint holds: enough for the form and its preview. */
  | {
      readonly type: 'preview';
      readonly preview: ConversionPreview;
      /** Where files go unless told otherwise. */
      readonly folder: string;
    }
  | { readonly type: 'previewFailed'; readonly message: string }
  /** Somebody wants to see this layer. */
  | { readonly type: 'show'; readonly layer: string }
  /** A conversion began; the last one's result stays on show until `opened`. */
  | { readonly type: 'started'; readonly choices: ConversionChoices }
  | {
      readonly type: 'opened';
      readonly checkpoint: CheckpointFacts;
      readonly layerNames: readonly string[];
      readonly backend: BackendShown;
    }
  | {
      readonly type: 'layers';
      readonly layers: readonly { readonly index: number; readonly layer: PageLayer }[];
    }
  | { readonly type: 'progress'; readonly progress: Progress }
  /** Complete; its layers leave spectra out, which came with `layers` before this. */
  | { readonly type: 'done'; readonly document: ConversionDocument }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'cancelled' }
  | { readonly type: 'notice'; readonly message: string }
  | CallReply;

/** The answer to a call; a failure is one line. */
export type CallReply =
  | { readonly type: 'reply'; readonly request: number; readonly ok: true; readonly result: unknown }
  | { readonly type: 'reply'; readonly request: number; readonly ok: false; readonly message: string };

/** What the page asks, and what it is answered. */
export interface ConversionCalls {
  /** The person chooses a folder; null when they thought better of it. */
  readonly chooseFolder: { readonly params: Record<string, never>; readonly result: string | null };
  readonly sineSpectrum: {
    readonly params: Omit<SineSpectrumParams, 'path' | 'backend'>;
    readonly result: PageSineSpectrum;
  };
  /** Shows a written file in the Explorer, or in the system's file manager. */
  readonly reveal: { readonly params: { readonly file: WrittenFile }; readonly result: null };
  /** Opens a written checkpoint as its audit, or a text in an editor. */
  readonly open: { readonly params: { readonly file: WrittenFile }; readonly result: null };
  /** Puts the Python lines that load the factors on the clipboard. */
  readonly copyPython: { readonly params: Record<string, never>; readonly result: null };
}

export type Call<K extends keyof ConversionCalls = keyof ConversionCalls> = {
  readonly [Name in K]: {
    readonly type: 'call';
    readonly request: number;
    readonly call: Name;
    readonly params: ConversionCalls[Name]['params'];
  };
}[K];

/** Page → host. */
export type FromConversion =
  /** The page listens; the host then sends everything that is known. */
  | { readonly type: 'ready' }
  | { readonly type: 'convert'; readonly choices: ConversionChoices }
  | { readonly type: 'cancel' }
  /** Read the checkpoint again, after `previewFailed`. */
  | { readonly type: 'retry' }
  | { readonly type: 'openLog' }
  | Call;
