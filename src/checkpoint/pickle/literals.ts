import type { PickleSource } from './source';

/** No number in a checkpoint is longer; parsing longer ones would take quadratic time. */
const MAX_DIGITS = 1000;

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Decimal text; a number when it is exact, a bigint when it is not. */
export function integerOfDecimal(text: string, source: PickleSource): number | bigint {
  if (text.length > MAX_DIGITS || !/^\s*[+-]?\d+\s*$/.test(text))
    throw source.error('an integer that is none');
  return narrow(BigInt(text.trim().replace(/^\+/, '')));
}

/** Two's complement of `length` bytes. */
export function integerOfLittleEndian(length: number, source: PickleSource): number | bigint {
  if (length > MAX_DIGITS) throw source.error(`an integer of ${length} bytes`);
  const bytes = source.take(length);
  if (length === 0) return 0;
  const hexadecimal = Buffer.from(bytes).reverse().toString('hex');
  const value = BigInt(`0x${hexadecimal}`);
  return narrow(BigInt.asIntN(8 * length, value));
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['t', '\t'],
  ['r', '\r'],
  ['\\', '\\'],
  ["'", "'"],
  ['"', '"'],
]);

/** Python 2's repr of a string: quotes around, backslash escapes within. */
export function quotedText(text: string, source: PickleSource): string {
  const quote = text[0];
  if (text.length < 2 || (quote !== "'" && quote !== '"') || !text.endsWith(quote)) {
    throw source.error('a string without its quotes');
  }
  return text
    .slice(1, -1)
    .replace(
      /\\(?:x([0-9a-fA-F]{2})|(.))/g,
      (all: string, hex: string | undefined, character: string | undefined) =>
        hex === undefined
          ? (ESCAPES.get(character ?? '') ?? all)
          : String.fromCharCode(Number.parseInt(hex, 16)),
    );
}

/** Python's raw-unicode-escape: \uXXXX and \UXXXXXXXX, everything else as it is. */
export function rawUnicodeText(text: string): string {
  return text.replace(
    /\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g,
    (all: string, short: string | undefined, long: string | undefined) => {
      const code = Number.parseInt(short ?? long ?? '', 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : all;
    },
  );
}
