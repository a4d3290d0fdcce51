import { utf8, viewAt, type ByteRange } from './byteRange';
import type { Context, Part } from './context';

/** Value types of the GGUF specification; bytes of those of fixed size. */
const FIXED_BYTES: ReadonlyMap<number, number> = new Map([
  ...[0, 1, 7].map((type): [number, number] => [type, 1]),
  ...[2, 3].map((type): [number, number] => [type, 2]),
  ...[4, 5, 6].map((type): [number, number] => [type, 4]),
  ...[10, 11, 12].map((type): [number, number] => [type, 8]),
]);
const TEXT = 8;
const ARRAY = 9;

/** Keys of the header that are walked; models have some fifty. */
const MAX_KEYS = 10_000;
/** Texts of arrays that are stepped over: vocabularies have some hundred thousand words. */
const MAX_ITEMS = 5_000_000;
/** Longest template shown to the search; the longest in use have some twenty thousand characters. */
const MAX_TEMPLATE_BYTES = 1024 * 1024;

/** What a template has no business with: attributes that lead from any value to Python itself. */
const ESCAPES =
  /__(?:class|globals|builtins|subclasses|import|mro|base|init|getattribute|code|dict)__|\b(?:popen|subprocess|eval|exec)\s*\(|\bos\s*\.\s*\w+\s*\(/;

/** A GGUF file: values only, but for the chat template, which programs run as Jinja. */
export function inspectGguf({ range, where }: Part, { report }: Context): string {
  report.parts++;
  const templates = readTemplates(range);
  if (templates === undefined)
    report.find('unknown', 'format', 'a header that is damaged, or larger than is looked at', where);
  for (const [key, text] of templates ?? []) {
    const escape = ESCAPES.exec(text)?.[0];
    if (escape !== undefined)
      report.find(
        'dangerous',
        'code',
        `the template ${key} holds ${escape}, which leads out of the template`,
        where,
      );
    else
      report.note(`Holds a template (${key}), which programs run as Jinja: they should do it in a sandbox`);
  }
  return 'GGUF';
}

class Cursor {
  position = 24;
  private window: Uint8Array = new Uint8Array(0);
  private start = 0;

  constructor(readonly range: ByteRange) {}

  /** A little-endian number. @throws RangeError past the end. */
  number(bytes: number): number {
    if (this.position < this.start || this.position + bytes > this.start + this.window.length) {
      this.window = this.range.read(this.position, 64 * 1024);
      this.start = this.position;
    }
    let value = 0;
    for (let i = 0; i < bytes; i++) value += this.at(this.position - this.start + i) * 2 ** (8 * i);
    this.position += bytes;
    return value;
  }

  skip(bytes: number): void {
    this.position += bytes;
    if (this.position > this.range.size) throw new RangeError('past the end');
  }

  private at(index: number): number {
    const value = this.window[index];
    if (value === undefined) throw new RangeError('past the end');
    return value;
  }
}

/** Texts under keys that name a template; undefined where the header cannot be walked. */
function readTemplates(range: ByteRange): [string, string][] | undefined {
  const keys = viewAt(range, 16, 8)?.getBigUint64(0, true) ?? 0n;
  if (keys > BigInt(MAX_KEYS)) return undefined;
  const cursor = new Cursor(range);
  const templates: [string, string][] = [];
  try {
    for (let i = 0n; i < keys; i++) {
      const key = text(cursor, 1024);
      const type = cursor.number(4);
      if (type === TEXT && key.includes('template')) templates.push([key, text(cursor, MAX_TEMPLATE_BYTES)]);
      else skipValue(cursor, type, { items: MAX_ITEMS });
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  return templates;
}

function text(cursor: Cursor, most: number): string {
  const length = cursor.number(8);
  const start = cursor.position;
  cursor.skip(length);
  return utf8(cursor.range.read(start, Math.min(length, most)));
}

/** @throws RangeError */
function skipValue(cursor: Cursor, type: number, left: { items: number }): void {
  const bytes = FIXED_BYTES.get(type);
  if (bytes !== undefined) cursor.skip(bytes);
  else if (type === TEXT) cursor.skip(cursor.number(8));
  else if (type === ARRAY) {
    const of = cursor.number(4);
    const count = cursor.number(8);
    const each = FIXED_BYTES.get(of);
    // Arrays of arrays are not in use.
    if (of === ARRAY) throw new RangeError('arrays of arrays');
    if (each !== undefined) cursor.skip(each * count);
    else
      for (let i = 0; i < count; i++) {
        if (--left.items < 0) throw new RangeError('more texts than are looked at');
        skipValue(cursor, of, left);
      }
  } else throw new RangeError('no such type');
}
