import type { PickleScan } from './pickleScan';
import { memoKey, nameOfLine, textOfString, textOfUnicode } from './pickleText';
import { MAX_NAME_BYTES, OTHER, type Value } from './pickleValues';

type Operation = (scan: PickleScan) => void;

/** Of an opcode with `bytes` of argument that makes a value which tells nothing. */
const value =
  (bytes: number): Operation =>
  (scan) => {
    scan.cursor.skip(bytes);
    scan.push(OTHER);
  };

const line: Operation = (scan) => {
  scan.cursor.line(0);
  scan.push(OTHER);
};

/** Of an opcode whose payload follows its length, written in `bytes` bytes. */
const payload =
  (bytes: number, encoding: 'raw' | 'utf8'): Operation =>
  (scan) => {
    scan.pushPayload(scan.cursor.unsigned(bytes), encoding);
  };

const textLine =
  (decode: (line: string) => string, encoding: 'unicode' | 'string'): Operation =>
  (scan) => {
    const start = scan.cursor.position;
    const { text, length } = scan.cursor.line(MAX_NAME_BYTES);
    scan.pushText(length > MAX_NAME_BYTES ? undefined : decode(text), start, length, encoding);
  };

const longInteger =
  (bytes: number): Operation =>
  (scan) => {
    scan.cursor.skip(scan.cursor.unsigned(bytes));
    scan.push(OTHER);
  };

const tuple =
  (size: number): Operation =>
  (scan) => {
    const items: Value[] = [];
    for (let i = 0; i < size; i++) items.unshift(scan.pop());
    scan.push({ kind: 'tuple', items });
  };

const extension =
  (bytes: number): Operation =>
  (scan) => {
    scan.pushGlobal('copyreg', `extension_${scan.cursor.unsigned(bytes)}`);
  };

/** What is between the mark and the top becomes part of what lies below. */
const extendTop: Operation = (scan) => {
  const [key, item] = scan.popToMark();
  scan.setItem(scan.top(), key, item);
};

const collect: Operation = (scan) => {
  scan.popToMark();
  scan.push(OTHER);
};

const reduce: Operation = (scan) => {
  const args = scan.pop();
  scan.push(scan.call(scan.pop(), args));
};

/** The two lines of GLOBAL and INST. */
function names(scan: PickleScan): [string, string] {
  const module = scan.cursor.line(MAX_NAME_BYTES).text;
  return [nameOfLine(module), nameOfLine(scan.cursor.line(MAX_NAME_BYTES).text)];
}

const STREAM: Readonly<Record<string, Operation>> = {
  '\x80': (scan) => {
    scan.protocol = Math.max(scan.protocol, scan.cursor.byte());
  },
  // Frames tell where to read on, not what; Python's faster unpickler ignores what they say.
  '\x95': (scan) => {
    scan.cursor.skip(8);
  },
  '.': (scan) => {
    scan.stop();
  },
  '(': (scan) => {
    scan.mark();
  },
  '0': (scan) => {
    scan.discard();
  },
  '1': (scan) => {
    scan.popToMark();
  },
  '2': (scan) => {
    scan.push(scan.top() ?? OTHER);
  },
  p: (scan) => {
    scan.remember(memoKey(scan.cursor.line(64).text));
  },
  q: (scan) => {
    scan.remember(scan.cursor.byte());
  },
  r: (scan) => {
    scan.remember(scan.cursor.unsigned(4));
  },
  '\x94': (scan) => {
    scan.remember(undefined);
  },
  g: (scan) => {
    scan.recall(memoKey(scan.cursor.line(64).text));
  },
  h: (scan) => {
    scan.recall(scan.cursor.byte());
  },
  j: (scan) => {
    scan.recall(scan.cursor.unsigned(4));
  },
};

const VALUES: Readonly<Record<string, Operation>> = {
  N: value(0),
  '\x88': value(0),
  '\x89': value(0),
  ')': value(0),
  ']': value(0),
  '}': (scan) => {
    scan.pushDict();
  },
  '\x8f': value(0),
  '\x97': value(0),
  '\x98': () => undefined,
  K: value(1),
  M: value(2),
  J: value(4),
  G: value(8),
  I: line,
  L: line,
  F: line,
  P: line,
  '\x8a': longInteger(1),
  '\x8b': longInteger(4),
  S: textLine(textOfString, 'string'),
  V: textLine(textOfUnicode, 'unicode'),
  U: payload(1, 'raw'),
  T: payload(4, 'raw'),
  C: payload(1, 'raw'),
  B: payload(4, 'raw'),
  '\x8e': payload(8, 'raw'),
  '\x96': payload(8, 'raw'),
  X: payload(4, 'utf8'),
  '\x8c': payload(1, 'utf8'),
  '\x8d': payload(8, 'utf8'),
  Q: (scan) => {
    scan.pop();
    scan.push(OTHER);
  },
};

const CONTAINERS: Readonly<Record<string, Operation>> = {
  l: collect,
  d: collect,
  '\x91': collect,
  t: (scan) => {
    scan.push({ kind: 'tuple', items: scan.popToMark() });
  },
  '\x85': tuple(1),
  '\x86': tuple(2),
  '\x87': tuple(3),
  e: extendTop,
  u: extendTop,
  '\x90': extendTop,
  a: (scan) => {
    scan.pop();
    scan.change(scan.top());
  },
  s: (scan) => {
    const item = scan.pop();
    const key = scan.pop();
    scan.setItem(scan.top(), key, item);
  },
};

const OBJECTS: Readonly<Record<string, Operation>> = {
  c: (scan) => {
    scan.pushGlobal(...names(scan));
  },
  '\x93': (scan) => {
    const name = scan.pop();
    scan.pushGlobalOf(scan.pop(), name);
  },
  '\x82': extension(1),
  '\x83': extension(2),
  '\x84': extension(4),
  R: reduce,
  '\x81': reduce,
  '\x92': (scan) => {
    scan.pop();
    reduce(scan);
  },
  i: (scan) => {
    const global = scan.nameGlobal(...names(scan));
    scan.push(scan.call(global, { kind: 'tuple', items: scan.popToMark() }));
  },
  o: (scan) => {
    const [type = OTHER, ...args] = scan.popToMark();
    scan.push(scan.call(type, { kind: 'tuple', items: args }));
  },
  b: (scan) => {
    const state = scan.pop();
    scan.build(scan.top(), state);
  },
};

/** By opcode, as Python's pickletools lists them; undefined where there is none. */
export const OPERATIONS: readonly (Operation | undefined)[] = (() => {
  const table = new Array<Operation | undefined>(256).fill(undefined);
  for (const group of [STREAM, VALUES, CONTAINERS, OBJECTS]) {
    for (const [character, operation] of Object.entries(group)) table[character.charCodeAt(0)] = operation;
  }
  return table;
})();
