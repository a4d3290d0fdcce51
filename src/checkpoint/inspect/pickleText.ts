/** Text as the opcodes of pickles write it, read as leniently as any version of Python does. */

/** Python's escapes of one character. */
const ESCAPES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    a: '\x07',
    b: '\b',
    f: '\f',
    n: '\n',
    r: '\r',
    t: '\t',
    v: '\v',
    '\\': '\\',
    "'": "'",
    '"': '"',
  }),
);

/** The argument of STRING: quotes around, escapes within, octal ones too. Without quotes: the text as it is. */
export function textOfString(line: string): string {
  const text = line.trim();
  const quote = text[0];
  const isQuoted = text.length > 1 && (quote === "'" || quote === '"') && text.endsWith(quote);
  const inside = isQuoted ? text.slice(1, -1) : text;
  return inside.replace(
    /\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([\s\S]))/g,
    (all: string, hex: string | undefined, octal: string | undefined, character: string | undefined) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
      return ESCAPES.get(character ?? '') ?? all;
    },
  );
}

/** The argument of UNICODE, Python's raw-unicode-escape: a doubled backslash hides what follows. */
export function textOfUnicode(line: string): string {
  return line.replace(
    /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|[\s\S])/g,
    (all: string, short: string | undefined, long: string | undefined) => {
      if (short === undefined && long === undefined) return all;
      const code = Number.parseInt(short ?? long ?? '', 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : all;
    },
  );
}

/** A memo key as text: Python's int() takes spaces, signs and underscores. */
export function memoKey(line: string): number {
  return Number(line.trim().replaceAll('_', ''));
}

/** A name in a GLOBAL: UTF-8. */
export function nameOfLine(line: string): string {
  // eslint-disable-next-line no-control-regex -- beyond ASCII the bytes have to be read as UTF-8
  return /^[\x00-\x7f]*$/.test(line) ? line : Buffer.from(line, 'latin1').toString('utf8');
}
