/** Mutators of pickles: they know where one operation ends and the next begins. */
import type { Random } from '../random';
import type { Mutator } from '../reader';
import { interesting, replaced, withInteger } from './bytes';

/** How long what follows an operation's code is: bytes, lines, or a length in as many bytes and then the data. */
type Form = { readonly bytes: number } | { readonly lines: number } | { readonly sized: number };

const FORMS = new Map<number, Form>();
function forms(codes: string, form: Form): void {
  for (const code of codes) FORMS.set(code.charCodeAt(0), form);
}
forms('KhqU\x80\x82'.replace('U', ''), { bytes: 1 });
forms('M\x83', { bytes: 2 });
forms('Jjr\x84', { bytes: 4 });
forms('G\x95', { bytes: 8 });
forms('IFLSVPgp', { lines: 1 });
forms('ci', { lines: 2 });
forms('UC\x8a\x8c', { sized: 1 });
forms('TXB\x8b', { sized: 4 });
forms('\x8d\x8e\x96', { sized: 8 });

interface Operation {
  readonly begin: number;
  readonly end: number;
  readonly code: number;
}

/** Operations from `start` on, as far as they can be followed. */
function operations(bytes: Buffer, start: number): Operation[] {
  const found: Operation[] = [];
  for (let at = start; at < bytes.length && found.length < 20_000;) {
    const code = bytes[at] ?? 0;
    const end = endOf(bytes, at + 1, FORMS.get(code));
    if (end > bytes.length) break;
    found.push({ begin: at, end, code });
    at = end;
    if (code === 0x2e) break;
  }
  return found;
}

function endOf(bytes: Buffer, at: number, form: Form | undefined): number {
  if (form === undefined) return at;
  if ('bytes' in form) return at + form.bytes;
  if ('lines' in form) {
    let end = at;
    for (let i = 0; i < form.lines; i++) {
      const newline = bytes.indexOf(10, end);
      if (newline < 0) return Infinity;
      end = newline + 1;
    }
    return end;
  }
  if (at + form.sized > bytes.length) return Infinity;
  let length = 0;
  for (let i = form.sized - 1; i >= 0; i--) length = length * 256 + (bytes[at + i] ?? 0);
  return at + form.sized + length;
}

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');

const GLOBALS = [
  ...['os system', 'builtins eval', 'builtins getattr', 'collections OrderedDict', 'collections defaultdict'],
  ...['torch._utils _rebuild_tensor_v2', 'torch._utils _rebuild_parameter', 'torch._utils _rebuild_tensor'],
  ...[
    'torch._utils _rebuild_qtensor',
    'torch._utils _rebuild_sparse_tensor',
    'torch FloatStorage',
    'torch Size',
  ],
  ...[
    'torch._tensor _rebuild_from_type_v2',
    'torch.nn.modules.linear Linear',
    'torch.storage _load_from_bytes',
  ],
  ...['numpy.core.multiarray _reconstruct', 'numpy.core.multiarray scalar', 'numpy ndarray', 'numpy dtype'],
  ...[
    '_codecs encode',
    'copy_reg _reconstructor',
    'builtins object',
    'builtins set',
    '__builtin__ bytearray',
  ],
  ...['numpy._core.numeric _frombuffer', 'torch float32', 'torch device', '__proto__ constructor', ' '],
].map((pair) => latin(`c${pair.replace(' ', '\n')}\n`));

/** Operations without anything after them. */
const PLAIN = '(.0123]})atlesudoRbQN\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94\x97\x98';

/** A piece of pickle that does something on its own, or too much of something. */
function fragment(random: Random): Buffer {
  const many = random.small(50_000);
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(BigInt.asUintN(64, interesting(random, 1000)));
  const sized = (code: string, width: number): Buffer =>
    Buffer.concat([
      latin(code),
      number.subarray(0, width),
      random.chance(0.5) ? latin('abcd') : Buffer.alloc(0),
    ]);
  switch (random.below(14)) {
    case 0:
      return latin('('.repeat(many));
    case 1:
      return latin(']'.repeat(many));
    case 2:
      return latin(`]${'\x85'.repeat(many)}`);
    case 3:
      return latin(`]${'2'.repeat(many)}`);
    case 4:
      // A list in itself, a dictionary in itself, a tuple around a list that holds the tuple.
      return latin(
        random.pick([']\x94h\0a', ']q\x07h\x07a', '}q\x08K\x01h\x08s', ']q\x09\x85q\x0ah\x09h\x0aa']),
      );
    case 5:
      return random.pick([
        sized('\x8b', 4),
        sized('\x8d', 8),
        sized('\x8e', 8),
        sized('\x96', 8),
        sized('X', 4),
        sized('\x95', 8),
      ]);
    case 6:
      return sized(random.pick(Array.from('hqKjrJMG')), random.pick([1, 2, 4, 8]));
    case 7:
      return random.pick(GLOBALS);
    case 8:
      return Buffer.concat([
        random.pick(GLOBALS),
        latin(random.pick([')R', ')\x81', 'N\x85R', '(K\x01tR', '}b', ')R}b', ')R]b'])),
      ]);
    case 9:
      // Twice as much with each step.
      return latin(`]${'2\x86'.repeat(random.small(64))}`);
    case 10:
      return latin('}(X\x09\0\0\0__proto__}u');
    case 11:
      return latin(`(${'K\x01'.repeat(random.small(2000))}${random.pick(Array.from('tld'))}`);
    case 12:
      return latin(
        `${random.pick(Array.from('ILFSV'))}${random.pick(['9'.repeat(random.small(20_000)), '-1', 'nan', '1e999', "'\\xff'", '0x10', ''])}\n`,
      );
    default:
      return latin(random.pick(Array.from(PLAIN)));
  }
}

/** Where a pickle begins: at its protocol, of which the oldest files have several. */
function starts(bytes: Buffer): number[] {
  const found: number[] = [];
  for (let at = bytes.indexOf(0x80); at >= 0 && found.length < 64; at = bytes.indexOf(0x80, at + 1))
    if ((bytes[at + 1] ?? 9) <= 5) found.push(at);
  return found.length === 0 ? [0] : found;
}

function walk(bytes: Buffer, random: Random): Operation[] {
  const known = starts(bytes);
  return operations(bytes, random.chance(0.5) ? (known[0] ?? 0) : random.pick(known));
}

const insertOperation: Mutator = (bytes, random) => {
  const found = walk(bytes, random);
  if (found.length === 0) return undefined;
  const { begin } = random.pick(found);
  return replaced(bytes, begin, begin, fragment(random));
};

const replaceOperation: Mutator = (bytes, random) => {
  const found = walk(bytes, random);
  if (found.length === 0) return undefined;
  const { begin, end } = random.pick(found);
  return replaced(bytes, begin, end, fragment(random));
};

const dropOperation: Mutator = (bytes, random) => {
  const found = walk(bytes, random);
  if (found.length === 0) return undefined;
  const { begin, end } = random.pick(found);
  return replaced(bytes, begin, end, Buffer.alloc(0));
};

const copyOperations: Mutator = (bytes, random) => {
  const found = walk(bytes, random);
  if (found.length === 0) return undefined;
  const first = random.below(found.length);
  const last = Math.min(found.length - 1, first + random.small(12) - 1);
  const taken = bytes.subarray(found[first]?.begin ?? 0, found[last]?.end ?? 0);
  const times = random.chance(0.9) ? 1 : Math.floor(100_000 / (1 + taken.length));
  const { begin } = random.pick(found);
  return replaced(bytes, begin, begin, Buffer.concat(Array<Buffer>(times).fill(taken)));
};

/** The number, length or memo index that follows an operation. */
const setArgument: Mutator = (bytes, random) => {
  const found = walk(bytes, random).filter(({ code }) => FORMS.has(code));
  if (found.length === 0) return undefined;
  const { begin, end, code } = random.pick(found);
  const form = FORMS.get(code);
  if (form === undefined || 'lines' in form)
    return replaced(bytes, begin + 1, end - 1, latin(String(interesting(random, 99))));
  const width = 'bytes' in form ? form.bytes : form.sized;
  const value = random.chance(0.5) ? interesting(random, bytes.length) : BigInt(random.below(40));
  return withInteger(bytes, begin + 1, width, value);
};

const setGlobal: Mutator = (bytes, random) => {
  const found = walk(bytes, random).filter(({ code }) => code === 0x63);
  if (found.length === 0) return undefined;
  const { begin, end } = random.pick(found);
  return replaced(bytes, begin, end, random.pick(GLOBALS));
};

export const PICKLE: readonly Mutator[] = [
  ...[
    insertOperation,
    insertOperation,
    replaceOperation,
    dropOperation,
    copyOperations,
    setArgument,
    setArgument,
    setGlobal,
  ],
];
