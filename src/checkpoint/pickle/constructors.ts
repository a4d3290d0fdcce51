import type { PickleMachine } from './machine';
import { NUMPY_CONSTRUCTORS } from './numpyConstructors';
import { STORAGE_DTYPES, TORCH_CONSTRUCTORS, TORCH_DTYPES } from './torchConstructors';
import { BytesValue, DictValue, ListValue, type PickleValue, TupleValue, itemsOf } from './values';

/**
 * What a class or function of the allow-list makes of its arguments here: an inert value, built by our own code.
 * `undefined`: not arguments it is known to take, so that a placeholder is made.
 */
export type Constructor = (args: readonly PickleValue[], machine: PickleMachine) => PickleValue | undefined;

function list([from]: readonly PickleValue[], machine: PickleMachine): PickleValue | undefined {
  if (from === undefined) return new ListValue([]);
  const items = itemsOf(from);
  if (items === undefined) return undefined;
  machine.charge(items.length);
  return new ListValue([...items]);
}

function dict([from]: readonly PickleValue[], machine: PickleMachine): PickleValue | undefined {
  const made = new DictValue();
  if (from === undefined) return made;
  if (from instanceof DictValue) {
    machine.charge(from.entries.size);
    for (const [key, value] of from.entries) made.entries.set(key, value);
    return made;
  }
  const pairs = itemsOf(from);
  if (pairs === undefined) return undefined;
  machine.charge(pairs.length);
  for (const pair of pairs) {
    const [key, value, ...rest] = itemsOf(pair) ?? [];
    if (key === undefined || value === undefined || rest.length > 0) return undefined;
    made.entries.set(key, value);
  }
  return made;
}

/** `defaultdict(factory, …)`: the factory is never called. */
function defaultDict(args: readonly PickleValue[], machine: PickleMachine): PickleValue | undefined {
  return dict(args.slice(1), machine);
}

/** `_codecs.encode(text, "latin1")`: how protocol 2 keeps bytes. */
function encode([text, codec]: readonly PickleValue[], machine: PickleMachine): PickleValue | undefined {
  if (codec !== 'latin1' && codec !== 'latin-1') return undefined;
  if (text instanceof BytesValue) return text;
  return typeof text === 'string' ? machine.placeOfText(text) : undefined;
}

/** `copyreg._reconstructor(class, base, state)`: what protocols 0 and 1 write for NEWOBJ. */
function reconstruct(
  [type, , state]: readonly PickleValue[],
  machine: PickleMachine,
): PickleValue | undefined {
  if (type === undefined) return undefined;
  return machine.construct(type, new TupleValue(state === undefined || state === null ? [] : [state]));
}

/** A value whose parts are kept, but which means nothing to us. */
const placeholder: Constructor = () => undefined;

const BUILTINS: ReadonlyMap<string, Constructor> = new Map<string, Constructor>([
  ['set', list],
  ['frozenset', list],
  ['list', list],
  ['dict', dict],
  ['tuple', ([from]) => (from instanceof TupleValue ? from : undefined)],
  ['bytearray', ([from]) => (from instanceof BytesValue ? from : undefined)],
  ['bytes', ([from]) => (from instanceof BytesValue ? from : undefined)],
  ...['object', 'slice', 'complex', 'int', 'float', 'bool', 'str', 'range', 'long', 'unicode'].map(
    (name): [string, Constructor] => [name, placeholder],
  ),
]);

/** Containers and plain values of the standard library that people keep beside their tensors. */
const HARMLESS: readonly string[] = [
  'collections.deque',
  'collections.ChainMap',
  'collections.UserDict',
  'collections.UserList',
  'argparse.Namespace',
  'types.SimpleNamespace',
  ...['PurePath', 'PurePosixPath', 'PureWindowsPath', 'Path', 'PosixPath', 'WindowsPath'].flatMap((name) => [
    `pathlib.${name}`,
    `pathlib._local.${name}`, // Python 3.13
  ]),
  ...['date', 'datetime', 'time', 'timedelta', 'timezone'].map((name) => `datetime.${name}`),
  'decimal.Decimal',
  'fractions.Fraction',
  'uuid.UUID',
];

/** The allow-list. Every global that is not in it (or an element or storage type of torch) stays a bare name. */
export const CONSTRUCTORS: ReadonlyMap<string, Constructor> = new Map<string, Constructor>([
  ...['builtins', '__builtin__'].flatMap((module) =>
    [...BUILTINS].map(([name, constructor]): [string, Constructor] => [`${module}.${name}`, constructor]),
  ),
  ['collections.OrderedDict', dict],
  ['collections.Counter', dict],
  ['collections.defaultdict', defaultDict],
  ...HARMLESS.map((name): [string, Constructor] => [name, placeholder]),
  ['_codecs.encode', encode],
  ['copyreg._reconstructor', reconstruct],
  ['copy_reg._reconstructor', reconstruct],
  ...TORCH_CONSTRUCTORS,
  ...NUMPY_CONSTRUCTORS,
]);

/** Whether a name is one whose meaning is known and harmless, so that nobody needs to be told about it. */
export function isInert(fullName: string): boolean {
  if (CONSTRUCTORS.has(fullName)) return true;
  const dot = fullName.lastIndexOf('.');
  const module = fullName.slice(0, dot);
  const name = fullName.slice(dot + 1);
  if (module === 'torch' && TORCH_DTYPES.has(name)) return true;
  return STORAGE_MODULES.has(module) && STORAGE_DTYPES.has(name);
}

const STORAGE_MODULES: ReadonlySet<string> = new Set(['torch', 'torch.cuda', 'torch.storage']);
