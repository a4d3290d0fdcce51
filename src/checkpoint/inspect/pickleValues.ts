/** What a scan of a pickle keeps of its values: enough to tell which names it imports and which bytes it loads. */

/** A text or bytes, where it lies; `text` only while it is short enough to be a name. */
export interface TextValue {
  readonly kind: 'text';
  readonly text: string | undefined;
  readonly start: number;
  readonly length: number;
  /** How the characters are written: one a byte, as UTF-8, or with the escapes of UNICODE or STRING. */
  readonly encoding: 'raw' | 'utf8' | 'unicode' | 'string';
}

export interface GlobalRef {
  readonly kind: 'global';
  readonly module: string;
  readonly name: string;
}

export interface TupleValue {
  readonly kind: 'tuple';
  readonly items: readonly Value[];
}

/** A dict, while it is small enough to be the attributes of something. */
export interface DictValue {
  readonly kind: 'dict';
  readonly entries: Map<string, Value>;
}

/** Anything else. */
export interface OtherValue {
  readonly kind: 'other';
}

export type Value = TextValue | GlobalRef | TupleValue | DictValue | OtherValue;

export const OTHER: OtherValue = { kind: 'other' };

/** Items of a tuple that are kept; calls of interest have fewer arguments. */
export const MAX_TUPLE_ITEMS = 6;

/** Longest text that can be a module's or a function's name; what is longer is stepped over. */
export const MAX_NAME_BYTES = 1024;
