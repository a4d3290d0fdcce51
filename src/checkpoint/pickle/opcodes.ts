import { CheckpointError } from '../errors';
import type { PickleMachine } from './machine';
import {
  DictValue,
  ListValue,
  NumpyArrayValue,
  NumpyDtypeValue,
  ObjectValue,
  type PickleValue,
  TupleValue,
  describeValue,
} from './values';
import { setArrayState, setDtypeState } from './numpyConstructors';
import { integerOfDecimal, integerOfLittleEndian, quotedText, rawUnicodeText } from './literals';

type Operation = (machine: PickleMachine) => void;

/** Largest size field that can be right; the source checks it against what remains. */
function length8(machine: PickleMachine): number {
  const length = machine.source.view(8).getBigUint64(0, true);
  if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw machine.source.error('a length beyond any file');
  return Number(length);
}
const length4 = (m: PickleMachine): number => m.source.uint32();
const length2 = (m: PickleMachine): number => m.source.byte() | (m.source.byte() << 8);

/** A length that this version of the format stores signed. */
function signedLength4(machine: PickleMachine): number {
  const length = machine.source.uint32() | 0;
  if (length < 0) throw machine.source.error('a negative length');
  return length;
}

function index(machine: PickleMachine): number {
  const text = machine.source.line();
  if (!/^\d{1,15}$/.test(text)) throw machine.source.error('a memo index that is no number');
  return Number(text);
}

/** PROTO, FRAME, STOP's neighbours: what is about the stream itself. */
const STREAM: Readonly<Record<string, Operation>> = {
  '\x80': (m) => {
    const protocol = m.source.byte();
    if (protocol > 5) throw m.source.error(`protocol ${protocol} is unknown`);
  },
  '\x95': (m) => {
    m.source.requireRemaining(length8(m));
  },
  '(': (m) => {
    m.mark();
  },
  '0': (m) => {
    m.discard();
  },
  '1': (m) => {
    m.popToMark();
  },
  '2': (m) => {
    m.push(m.top());
  },
  p: (m) => {
    m.remember(index(m));
  },
  q: (m) => {
    m.remember(m.source.byte());
  },
  r: (m) => {
    m.remember(length4(m));
  },
  '\x94': (m) => {
    m.rememberNext();
  },
  g: (m) => {
    m.recall(index(m));
  },
  h: (m) => {
    m.recall(m.source.byte());
  },
  j: (m) => {
    m.recall(length4(m));
  },
};

const NUMBERS: Readonly<Record<string, Operation>> = {
  N: (m) => {
    m.push(null);
  },
  '\x88': (m) => {
    m.push(true);
  },
  '\x89': (m) => {
    m.push(false);
  },
  I: (m) => {
    const text = m.source.line();
    m.push(text === '00' ? false : text === '01' ? true : integerOfDecimal(text, m.source));
  },
  L: (m) => {
    m.push(integerOfDecimal(m.source.line().replace(/L$/, ''), m.source));
  },
  J: (m) => {
    m.push(m.source.uint32() | 0);
  },
  K: (m) => {
    m.push(m.source.byte());
  },
  M: (m) => {
    m.push(length2(m));
  },
  '\x8a': (m) => {
    m.push(integerOfLittleEndian(m.source.byte(), m.source));
  },
  '\x8b': (m) => {
    m.push(integerOfLittleEndian(signedLength4(m), m.source));
  },
  F: (m) => {
    m.push(Number(m.source.line()));
  },
  G: (m) => {
    m.push(m.source.view(8).getFloat64(0, false));
  },
};

const TEXT_AND_BYTES: Readonly<Record<string, Operation>> = {
  S: (m) => {
    m.pushLine(quotedText(m.source.line(), m.source));
  },
  T: (m) => {
    m.pushText(signedLength4(m), 'latin1');
  },
  U: (m) => {
    m.pushText(m.source.byte(), 'latin1');
  },
  V: (m) => {
    m.pushLine(rawUnicodeText(m.source.line()));
  },
  X: (m) => {
    m.pushText(length4(m), 'utf8');
  },
  '\x8c': (m) => {
    m.pushText(m.source.byte(), 'utf8');
  },
  '\x8d': (m) => {
    m.pushText(length8(m), 'utf8');
  },
  B: (m) => {
    m.pushBytes(length4(m));
  },
  C: (m) => {
    m.pushBytes(m.source.byte());
  },
  '\x8e': (m) => {
    m.pushBytes(length8(m));
  },
  '\x96': (m) => {
    m.pushBytes(length8(m));
  },
};

const CONTAINERS: Readonly<Record<string, Operation>> = {
  ']': (m) => {
    pushNew(m, new ListValue([]));
  },
  l: (m) => {
    pushNew(m, new ListValue(m.popToMark()));
  },
  ')': (m) => {
    m.push(EMPTY_TUPLE);
  },
  t: (m) => {
    pushNew(m, new TupleValue(m.popToMark()));
  },
  '\x85': (m) => {
    pushTuple(m, 1);
  },
  '\x86': (m) => {
    pushTuple(m, 2);
  },
  '\x87': (m) => {
    pushTuple(m, 3);
  },
  '}': (m) => {
    pushNew(m, new DictValue());
  },
  d: (m) => {
    const items = m.popToMark();
    pushNew(m, new DictValue());
    setItems(m, items);
  },
  '\x8f': (m) => {
    pushNew(m, new ListValue([]));
  },
  '\x91': (m) => {
    pushNew(m, new ListValue(m.popToMark()));
  },
  '\x90': (m) => {
    append(m, m.popToMark());
  },
  a: (m) => {
    append(m, [m.pop()]);
  },
  e: (m) => {
    append(m, m.popToMark());
  },
  s: (m) => {
    const value = m.pop();
    setItems(m, [m.pop(), value]);
  },
  u: (m) => {
    setItems(m, m.popToMark());
  },
};

const OBJECTS: Readonly<Record<string, Operation>> = {
  c: (m) => {
    const module = m.source.line();
    m.push(m.global(module, m.source.line()));
  },
  '\x93': (m) => {
    const name = m.pop();
    m.push(m.global(m.pop(), name));
  },
  '\x82': (m) => {
    m.push(extension(m, m.source.byte()));
  },
  '\x83': (m) => {
    m.push(extension(m, length2(m)));
  },
  '\x84': (m) => {
    m.push(extension(m, length4(m)));
  },
  R: callTop,
  '\x81': callTop,
  '\x92': (m) => {
    const keywords = m.pop();
    const args = m.pop();
    const made = m.construct(m.pop(), args);
    if (made instanceof ObjectValue) made.entries.set('kwargs', keywords);
    m.push(made);
  },
  i: (m) => {
    const module = m.source.line();
    const type = m.global(module, m.source.line());
    m.push(m.construct(type, new TupleValue(m.popToMark())));
  },
  o: (m) => {
    const [type, ...args] = m.popToMark();
    if (type === undefined) throw m.source.error('makes an object of no class');
    m.push(m.construct(type, new TupleValue(args)));
  },
  b: (m) => {
    const state = m.pop();
    setState(m, m.top(), state);
  },
  P: (m) => {
    m.push(m.persistent(m.source.line()));
  },
  Q: (m) => {
    m.push(m.persistent(m.pop()));
  },
  '\x97': outOfBand,
  '\x98': outOfBand,
};

const EMPTY_TUPLE = new TupleValue([]);

function callTop(machine: PickleMachine): void {
  const args = machine.pop();
  machine.push(machine.construct(machine.pop(), args));
}

function pushNew(machine: PickleMachine, value: ListValue | TupleValue | DictValue): void {
  // A dict holds a hash table from the start.
  machine.charge(value.kind === 'dict' ? 2 : 1);
  machine.push(value);
}

function pushTuple(machine: PickleMachine, size: number): void {
  const items: PickleValue[] = [];
  for (let i = 0; i < size; i++) items.push(machine.pop());
  pushNew(machine, new TupleValue(items.reverse()));
}

function append(machine: PickleMachine, items: readonly PickleValue[]): void {
  const target = machine.top();
  if (target instanceof ListValue || target instanceof ObjectValue) {
    for (const item of items) target.items.push(item);
    return;
  }
  throw machine.source.error(`appends to ${describeValue(target)}, which is no list`);
}

function setItems(machine: PickleMachine, items: readonly PickleValue[]): void {
  const target = machine.top();
  if (!(target instanceof DictValue || target instanceof ObjectValue)) {
    throw machine.source.error(`sets items of ${describeValue(target)}, which is no dict`);
  }
  if (items.length % 2 !== 0) throw machine.source.error('a key without a value');
  for (let i = 0; i + 1 < items.length; i += 2) target.entries.set(items[i] ?? null, items[i + 1] ?? null);
}

/** BUILD. Attributes of classes, functions, tensors and plain containers change nothing here. */
function setState(machine: PickleMachine, target: PickleValue, state: PickleValue): void {
  if (target instanceof ObjectValue || target instanceof DictValue) target.state = state;
  else if (target instanceof NumpyArrayValue)
    setArrayState(target, state, machine.source, (text) => machine.placeOfText(text));
  else if (target instanceof NumpyDtypeValue) setDtypeState(target, state);
}

/** A class named by number in a registry that only the writer has. */
function extension(machine: PickleMachine, code: number): PickleValue {
  return machine.global('copyreg', `extension_${code}`);
}

function outOfBand(machine: PickleMachine): never {
  throw new CheckpointError('unsupported', 'pickle: its buffers were kept outside the file', {
    offset: machine.source.position,
  });
}

/** By opcode; STOP is the machine's own. */
export const OPCODES: readonly (Operation | undefined)[] = (() => {
  const table = new Array<Operation | undefined>(256).fill(undefined);
  for (const group of [STREAM, NUMBERS, TEXT_AND_BYTES, CONTAINERS, OBJECTS]) {
    for (const [character, operation] of Object.entries(group)) table[character.charCodeAt(0)] = operation;
  }
  return table;
})();
