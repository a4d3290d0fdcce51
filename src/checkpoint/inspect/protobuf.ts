/** Fields of protobuf messages (the wire format), by ranges: what is not asked for is stepped over. */
import { utf8, type ByteRange } from './byteRange';

/** Read at once; fields of interest are names. */
const WINDOW_BYTES = 64 * 1024;
/** Fields of one file that are walked, a few seconds' work: graphs of the largest models have some hundred thousand. */
export const MAX_FIELDS = 5_000_000;
/** A varint carries 64 bits, seven a byte. */
const MAX_VARINT_BYTES = 10;
/** Names and paths; anything longer is none. */
const MAX_TEXT_BYTES = 64 * 1024;

export interface Span {
  readonly begin: number;
  readonly end: number;
}

/** The message is no protobuf, or larger than is walked. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError';
  constructor(
    message: string,
    readonly offset: number,
  ) {
    super(message);
  }
}

export class Protobuf {
  private window: Uint8Array = new Uint8Array(0);
  private windowStart = 0;
  private fields = 0;

  constructor(private readonly range: ByteRange) {}

  get whole(): Span {
    return { begin: 0, end: this.range.size };
  }

  /** Fields in order: their numbers, and where what they hold lies; numbers of fixed size and varints are empty. */
  *walk({
    begin,
    end,
  }: Span): Generator<{ readonly number: number; readonly span: Span; readonly isBytes: boolean }> {
    for (let at = begin; at < end;) {
      if (++this.fields > MAX_FIELDS) throw new ProtobufError('more fields than are walked', at);
      const key = this.varint(at, end);
      const wire = key.value % 8;
      let start = key.end;
      let stop: number;
      if (wire === 0) stop = this.varint(start, end).end;
      else if (wire === 2) {
        const length = this.varint(start, end);
        start = length.end;
        stop = start + length.value;
      } else if (wire === 1 || wire === 5) stop = start + (wire === 1 ? 8 : 4);
      else throw new ProtobufError('no field begins here', at);
      if (stop > end || key.value < 8) throw new ProtobufError('a field reaches beyond its message', at);
      yield { number: Math.floor(key.value / 8), span: { begin: start, end: stop }, isBytes: wire === 2 };
      at = stop;
    }
  }

  /** The parts of a message that have this number. */
  *messages(message: Span, number: number): Generator<Span> {
    for (const field of this.walk(message)) if (field.number === number && field.isBytes) yield field.span;
  }

  /** The first text of this number; empty where there is none. */
  textOf(message: Span, number: number): string {
    for (const span of this.messages(message, number)) return this.text(span);
    return '';
  }

  text({ begin, end }: Span): string {
    return utf8(this.range.read(begin, Math.min(end - begin, MAX_TEXT_BYTES)));
  }

  private varint(begin: number, end: number): { readonly value: number; readonly end: number } {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES && begin + i < end; i++) {
      const byte = this.byte(begin + i);
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return { value, end: begin + i + 1 };
    }
    throw new ProtobufError('an integer that does not end', begin);
  }

  private byte(position: number): number {
    const known = this.window[position - this.windowStart];
    if (known !== undefined) return known;
    this.window = this.range.read(position, WINDOW_BYTES);
    this.windowStart = position;
    const byte = this.window[0];
    if (byte === undefined) throw new ProtobufError('the file ends here', position);
    return byte;
  }
}
