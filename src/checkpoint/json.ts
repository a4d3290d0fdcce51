import { CheckpointError } from './errors';

/** Nesting of values that are skipped; the formats read here nest three deep. */
const MAX_DEPTH = 64;
/** Longest key or text; tensor names are at most a few hundred characters, metadata may hold a whole configuration. */
const MAX_STRING_BYTES = 64 * 1024 * 1024;
/** Members of one object; three times the tensors of the largest index. */
const MAX_MEMBERS = 500_000;

/** Kinds of JSON values. */
export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

const NUMBER = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

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

  private readonly bytes: Buffer;

  constructor(
    bytes: Uint8Array,
    /** Byte of the file at which the JSON begins, for error messages. */
    private readonly fileOffset = 0,
  ) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Calls `onMember` for each member; it must read the value. */
  object(onMember: (key: string) => void): void {
    this.expect('{');
    const keys = new Set<string>();
    if (this.accept('}')) return;
    do {
      const key = this.string();
      if (keys.size >= MAX_MEMBERS) {
        throw new CheckpointError('unsupported', `JSON: more than ${MAX_MEMBERS} members`, this.place());
      }
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
    let isPlain = true;
    for (; this.bytes[end] !== QUOTE; end++) {
      const byte = this.bytes[end];
      if (byte === undefined || end - start > MAX_STRING_BYTES) throw this.error('text without an end');
      if (byte === BACKSLASH) end++;
      if (byte === BACKSLASH || byte < 0x20) isPlain = false;
    }
    this.position = end + 1;
    if (isPlain) return this.bytes.toString('utf8', start + 1, end);
    const source = this.bytes.toString('utf8', start, end + 1);
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
    const start = this.position;
    let value = 0;
    for (let digit = this.digit(); digit !== undefined; digit = this.digit()) {
      value = 10 * value + digit;
      this.position++;
      if (!Number.isSafeInteger(value)) throw this.error('a number beyond 2⁵³');
    }
    // A fraction, an exponent or another letter would follow without a space.
    if (start === this.position || this.token() !== '') throw this.error('a whole number was expected');
    return value;
  }

  /** A number of any kind, as close as a double comes to it; infinite where it is beyond all doubles. */
  number(): number {
    this.space();
    const text = this.token();
    if (!NUMBER.test(text)) throw this.error('a number was expected');
    this.position += text.length;
    return Number(text);
  }

  boolean(): boolean {
    this.space();
    const text = this.token();
    if (text !== 'true' && text !== 'false') throw this.error('true or false was expected');
    this.position += text.length;
    return text === 'true';
  }

  /** `true`, `false` or `null`. */
  word(): 'true' | 'false' | 'null' {
    this.space();
    const text = this.token();
    if (text !== 'true' && text !== 'false' && text !== 'null')
      throw this.error('true, false or null was expected');
    this.position += text.length;
    return text;
  }

  /** What comes next, by its first character; it is not read. */
  kind(): JsonKind {
    this.space();
    const next = this.bytes[this.position];
    if (next === 0x7b) return 'object';
    if (next === 0x5b) return 'array';
    if (next === QUOTE) return 'string';
    const letter = String.fromCharCode(next ?? 0);
    if (letter === 't' || letter === 'f') return 'boolean';
    return letter === 'n' ? 'null' : 'number';
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
      if (!/^(?:true|false|null)$/.test(text) && !NUMBER.test(text)) throw this.error('no JSON value');
      this.position += text.length;
    }
  }

  /** Requires that nothing but spaces follows. */
  end(): void {
    this.space();
    if (this.position < this.bytes.length) throw this.error('something follows the end');
  }

  error(reason: string, cause?: unknown): CheckpointError {
    return new CheckpointError('malformed', `JSON: ${reason}`, this.place(), { cause });
  }

  private place(): { offset: number } {
    return { offset: this.fileOffset + this.position };
  }

  private digit(): number | undefined {
    const byte = this.bytes[this.position] ?? 0;
    return byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : undefined;
  }

  /** The letters, digits and signs that follow, up to 64 of them. */
  private token(): string {
    let end = this.position;
    while (end < this.position + 64 && isTokenByte(this.bytes[end])) end++;
    return this.bytes.toString('latin1', this.position, end);
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

function isTokenByte(byte: number | undefined): boolean {
  return byte !== undefined && /[-+.\w]/.test(String.fromCharCode(byte));
}
