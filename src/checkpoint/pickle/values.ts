/**
 * What a pickle builds here: inert values of our own. Nothing in a pickle is imported or called; text from the file
 * is never a key of a plain object, so that `__proto__` is a key like any other.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | BytesValue
  | ListValue
  | TupleValue
  | DictValue
  | GlobalValue
  | ObjectValue
  | StorageValue
  | TensorValue
  | UnreadableValue
  | NumpyDtypeValue
  | NumpyArrayValue;

/** Bytes or very long text, left where they are in the pickle. */
export class BytesValue {
  readonly kind = 'bytes';
  constructor(
    /** `utf8`: each byte written as the character of that code. */
    readonly encoding: 'raw' | 'utf8',
    /** From the start of the pickle's source. */
    readonly offset: number,
    /** As they stand in the pickle. */
    readonly length: number,
  ) {}
}

/** A list, set or frozenset: the difference does not matter for finding tensors. */
export class ListValue {
  readonly kind = 'list';
  constructor(readonly items: PickleValue[]) {}
}

export class TupleValue {
  readonly kind = 'tuple';
  constructor(readonly items: readonly PickleValue[]) {}
}

/** A dict, OrderedDict, defaultdict or Counter. */
export class DictValue {
  readonly kind = 'dict';
  readonly entries = new Map<PickleValue, PickleValue>();
  /** Attributes set on the dict itself (`_metadata` of a state dict). */
  state: PickleValue = null;
}

/** The name of a class or function: only ever a name. */
export class GlobalValue {
  readonly kind = 'global';
  readonly fullName: string;
  constructor(
    readonly module: string,
    readonly name: string,
  ) {
    this.fullName = `${module}.${name}`;
  }
}

/** What some class or function outside the allow-list would have made: its name, arguments and state, side by side. */
export class ObjectValue {
  readonly kind = 'object';
  state: PickleValue = null;
  readonly items: PickleValue[] = [];
  readonly entries = new Map<PickleValue, PickleValue>();
  constructor(
    readonly type: PickleValue,
    readonly args: PickleValue,
  ) {}
}

/** A part of another storage, in its elements (legacy format). */
export interface StorageView {
  readonly key: string;
  readonly offset: number;
  readonly elements: number;
}

/** A reference to a storage kept outside the pickle. */
export class StorageValue {
  readonly kind = 'storage';
  constructor(
    /** Class name as torch has it: `FloatStorage`, `UntypedStorage` … */
    readonly type: string,
    readonly key: string,
    /** Of the class's element type; bytes for untyped storages. */
    readonly elements: number,
    readonly view?: StorageView,
  ) {}
}

/** A tensor as the pickle describes it. Nothing is checked yet: only who knows its name can report it well. */
export class TensorValue {
  readonly kind = 'tensor';
  constructor(
    readonly storage: PickleValue,
    readonly offset: PickleValue,
    readonly size: PickleValue,
    readonly stride: PickleValue,
    /** Byte of the pickle where it was built. */
    readonly position: number,
    /** Given apart from the storage for element types newer than typed storages. */
    readonly dtype?: PickleValue,
  ) {}
}

/** A tensor that is no dense array of numbers. */
export class UnreadableValue {
  readonly kind = 'unreadable';
  constructor(
    readonly reason: string,
    readonly dtype: string,
    readonly size: PickleValue,
  ) {}
}

export class NumpyDtypeValue {
  readonly kind = 'numpyDtype';
  /** `<`, `>`, `|` or `=`, known once its state is set. */
  byteOrder = '|';
  /** Subarrays and named fields make it a structured type. */
  structured = false;
  constructor(readonly code: string) {}
}

export class NumpyArrayValue {
  readonly kind = 'numpyArray';
  size: PickleValue = null;
  dtype: PickleValue = null;
  fortranOrder = false;
  data: PickleValue = null;
  constructor(readonly position: number) {}
}

/** The class a global names, for people: `os.system`. */
export function describeValue(value: PickleValue): string {
  if (value === null) return 'None';
  if (typeof value !== 'object') return typeof value;
  return value.kind === 'global' ? value.fullName : value.kind;
}

/** A whole number that fits; everything else is undefined. */
export function integerOf(value: PickleValue): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

/** The items of a tuple or list. */
export function itemsOf(value: PickleValue): readonly PickleValue[] | undefined {
  return value instanceof TupleValue || value instanceof ListValue ? value.items : undefined;
}
