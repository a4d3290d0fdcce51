import { CheckpointError } from './errors';

/** Nesting of values that are skipped; the formats read here nest three deep. */
const MAX_DEPTH = 64;
/** Longest key or text; tensor names are at most a few hundred characters. */
const MAX_STRING_BYTES = 64 * 1024 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * A reader of JSON that the caller pulls along a schema it knows: nothing is built that was not asked for, keys are
 * never keys of plain objects, order is kept, and a key given twice is an error rather than a choice.
 *
 * Every method throws CheckpointError `malformed` with the byte offset.
 */
export class JsonReader {
  private position = 0;

  constructor(
    private readonly bytes: Uint8Array,
    /** Byte of the file at which the JSON begins, for error messages. */
    private readonly fileOffset = 0,
  ) {}

  /** Calls `onMember` for each member; it must read the value. */
  object(onMember: (key: string) => void): void {
    this.expect('{');
    const keys = new Set<string>();
    if (this.accept('}')) return;
    do {
      const key = this.string();
      if (keys.has(key)) throw this.error(`the key "${key}" is given twice`);
      keys.add(key);
      this.expect(':');
      onMember(key);
    } while (this.accept(','));
    this.expect('}');
  }

  /** Calls `onItem` for each item; it must read it. */
  array(onItem: () => void): void {
    this.expect('[');
    if (this.accept(']')) return;
    do onItem();
    while (this.accept(','));
    this.expect(']');
  }

  string(): string {
    this.space();
    const start = this.position;
    if (this.bytes[start] !== QUOTE) throw this.error('text was expected');
    let end = start + 1;
    for (; this.bytes[end] !== QUOTE; end++) {
      if (end >= this.bytes.length || end - start > MAX_STRING_BYTES) throw this.error('text without an end');
      if (this.bytes[end] === BACKSLASH) end++;
    }
    this.position = end + 1;
    const source = Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, end + 1 - start).toString(
      'utf8',
    );
    try {
      return String(JSON.parse(source));
    } catch (error) {
      this.position = start;
      throw this.error('text that is not valid JSON', error);
    }
  }

  /** A whole number from 0 to 2⁵³ − 1. */
  count(): number {
    this.space();
    const text = this.token();
    const value = Number(text);
    if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
      throw this.error('a whole number was expected');
    this.position += text.length;
    return value;
  }

  /** Steps over a value of any kind. */
  skip(depth = 0): void {
    if (depth > MAX_DEPTH) throw this.error(`nested deeper than ${MAX_DEPTH} levels`);
    this.space();
    const next = this.bytes[this.position];
    if (next === 0x7b)
      this.object(() => {
        this.skip(depth + 1);
      });
    else if (next === 0x5b)
      this.array(() => {
        this.skip(depth + 1);
      });
    else if (next === QUOTE) this.string();
    else {
      const text = this.token();
      if (!/^(?:true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$/.test(text))
        throw this.error('no JSON value');
      this.position += text.length;
    }
  }

  /** Requires that nothing but spaces follows. */
  end(): void {
    this.space();
    if (this.position < this.bytes.length) throw this.error('something follows the end');
  }

  error(reason: string, cause?: unknown): CheckpointError {
    const location = { offset: this.fileOffset + this.position };
    return new CheckpointError('malformed', `JSON: ${reason}`, location, { cause });
  }

  private token(): string {
    const piece = this.bytes.subarray(this.position, this.position + 64);
    return /^[-+.\w]*/.exec(Buffer.from(piece).toString('latin1'))?.[0] ?? '';
  }

  private accept(character: string): boolean {
    this.space();
    if (this.bytes[this.position] !== character.charCodeAt(0)) return false;
    this.position++;
    return true;
  }

  private expect(character: string): void {
    if (!this.accept(character)) throw this.error(`"${character}" was expected`);
  }

  private space(): void {
    for (;;) {
      const byte = this.bytes[this.position];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.position++;
    }
  }
}
