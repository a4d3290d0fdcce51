/** What is said between the engine and `media/python/rankscope_host.py`: lines of JSON. Change both together. */
import type { Evaluation, NetworkFacts, NetworkLayer } from '../network';

/** Changes with the lines that are exchanged. */
export const PROTOCOL = 1;

/** Values that a recipe can give as keyword arguments. */
export type PythonArguments = Readonly<Record<string, string | number | boolean>>;

/** A file in the exchange folder: float64, little-endian, row-major. */
interface ExchangedFile {
  readonly file: string;
}

/** The weight of a change lies in the exchange folder under this name. */
export const CHANGE_FILE = 'change.f64';

export interface OpenedModel extends Omit<NetworkFacts, 'host' | 'metric'> {
  readonly metric: Evaluation['metric'] | null;
  readonly layers: readonly NetworkLayer[];
}

export interface PythonRequests {
  readonly open: {
    readonly params: {
      readonly file: string;
      readonly function: string;
      readonly arguments: PythonArguments;
      /** The exchange folder. */
      readonly folder: string;
    };
    readonly result: OpenedModel;
  };
  readonly weight: { readonly params: { readonly layer: number }; readonly result: ExchangedFile };
  /** Sums Grams of as many of the layers as memory allows; `done` of `total` were summed before. */
  readonly gramPass: {
    readonly params: { readonly layers: readonly number[]; readonly done: number; readonly total: number };
    readonly result: { readonly layers: readonly number[] };
  };
  /** One Gram of the last pass; it is given once. */
  readonly gram: {
    readonly params: { readonly layer: number };
    readonly result: ExchangedFile & { readonly vectors: number };
  };
  readonly evaluate: { readonly params: { readonly layer: number | null }; readonly result: Evaluation };
  readonly commit: { readonly params: { readonly layer: number }; readonly result: object };
  readonly reset: { readonly params: object; readonly result: object };
}

/** What Python says of its own accord. */
export type PythonEvent =
  | {
      readonly event: 'hello';
      readonly protocol: number;
      readonly python: string;
      readonly executable: string;
    }
  /** What is being done. */
  | { readonly event: 'stage'; readonly text: string }
  /** How much of a pass over the Gram data is done, 0 … 1. */
  | { readonly event: 'fraction'; readonly value: number }
  /** Something a person should know, found while working. */
  | { readonly event: 'note'; readonly text: string };

export type PythonAnswer =
  | { readonly id: number; readonly result: unknown }
  /** One line for people. */
  | { readonly id: number; readonly error: string };
