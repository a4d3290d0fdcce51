/** Mutators of formats that need one or two each: tar, `.npy`, FlatBuffers. */
import type { Mutator } from '../reader';
import { interesting, replaced, withInteger } from './bytes';

const TAR_BLOCK = 512;

/** Checksums of all headers that stand where a tar archive has one. */
export function repairedTar(bytes: Buffer): Buffer {
  const result = Buffer.from(bytes);
  for (let at = 0; at + TAR_BLOCK <= result.length;) {
    const header = result.subarray(at, at + TAR_BLOCK);
    if (header.every((byte) => byte === 0)) break;
    header.fill(0x20, 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    const size = Number.parseInt(header.toString('latin1', 124, 136), 8);
    at += TAR_BLOCK + (size > 0 ? Math.ceil(size / TAR_BLOCK) * TAR_BLOCK : 0);
  }
  return result;
}

/** Size, type and name of a member. */
export const setTarField: Mutator = (bytes, random) => {
  const at = TAR_BLOCK * random.below(Math.ceil(bytes.length / TAR_BLOCK));
  const result = Buffer.from(bytes);
  const write = (offset: number, text: string): void => {
    if (at + offset < result.length) result.write(text, at + offset, 'latin1');
  };
  switch (random.below(4)) {
    case 0:
      write(
        124,
        `${random.pick(['77777777777', '00000000000', '7777777777777', '-1', '\x80\0\0\0\0\0\0\0\xff\xff\xff', interesting(random, bytes.length).toString(8)])}\0`,
      );
      break;
    case 1:
      write(156, random.pick(Array.from('01235679xgLK\0S')));
      break;
    case 2:
      write(0, `${random.pick(['pickle', 'storages', 'tensors', 'sys_info', '../x', '__proto__', ''])}\0`);
      break;
    default:
      write(random.below(TAR_BLOCK), '7777');
  }
  return result;
};

const NPY_PARTS = [
  ...[
    "'<f4'",
    "'>f8'",
    "'|O'",
    "'|b1'",
    "'<c16'",
    "'|V8'",
    "'<f16'",
    "[('a', '<f4'), ('b', '<i8')]",
    "'<U9999999999'",
  ],
  ...[
    '(4294967296, 4294967296)',
    '(0,)',
    '()',
    '(-1,)',
    '(3)',
    '(1,)*9',
    '9'.repeat(400),
    '(2, 0, 9007199254740993)',
  ],
  ...[
    'True',
    'False',
    'None',
    '{}',
    "{'shape': (2,)}",
    "b'x'",
    '0x7',
    '1e9',
    '1L',
    '"',
    "'",
    '\\',
    '('.repeat(3000),
  ],
];

/** The dictionary at the beginning of a `.npy` file; the length before it is put right most of the time. */
export const mutateNpyHeader: Mutator = (bytes, random) => {
  if (bytes.length < 12) return undefined;
  const width = bytes[6] === 1 ? 2 : 4;
  const start = 8 + width;
  const length = bytes.readUIntLE(8, width);
  if (start + length > bytes.length) return undefined;
  const header = bytes.toString('latin1', start, start + length);
  const words = [...header.matchAll(/'[^']*'|\([^)]*\)|\w+|[^\s\w]/g)];
  if (words.length === 0) return undefined;
  const word = random.pick(words);
  const by = random.chance(0.7) ? random.pick(NPY_PARTS) : random.pick(words)[0];
  const changed = header.slice(0, word.index) + by + header.slice(word.index + word[0].length);
  const result = replaced(bytes, start, start + length, Buffer.from(changed, 'latin1'));
  return random.chance(0.9) ? withInteger(result, 8, width, BigInt(changed.length)) : result;
};

/** Offsets, lengths and vector counts of a FlatBuffer are aligned 32-bit numbers; vtables have 16-bit ones. */
export const mutateFlatbuffer: Mutator = (bytes, random) => {
  if (bytes.length < 16) return undefined;
  const place = (): number =>
    4 * random.below(Math.min(bytes.length, random.chance(0.6) ? 4096 : bytes.length) / 4);
  const at = place();
  switch (random.below(6)) {
    case 0:
      return withInteger(bytes, at, 4, interesting(random, bytes.length));
    case 1:
      return withInteger(bytes, at, 4, BigInt(bytes.readUInt32LE(place())));
    case 2:
      // An offset to somewhere else in the file, forwards or backwards.
      return withInteger(bytes, at, 4, BigInt(random.below(bytes.length) - at));
    case 3:
      return withInteger(
        bytes,
        at + 2 * random.below(2),
        2,
        BigInt(random.chance(0.5) ? 4 + 2 * random.below(20) : random.below(65_536)),
      );
    case 4:
      return withInteger(bytes, at, 4, BigInt(bytes.readInt32LE(at) + 4 * random.between(-8, 8)));
    default:
      return withInteger(bytes, at + random.below(4), 1, BigInt(random.below(40)));
  }
};
