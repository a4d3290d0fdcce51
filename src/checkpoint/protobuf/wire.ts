/** The protobuf wire format, read by ranges: what is skipped is never read. */
import { CheckpointError } from '../errors';

/** Read at once when fields are walked: some hundred nodes of a graph. */
const WINDOW_BYTES = 64 * 1024;
/** A varint carries 64 bits, seven a byte. */
const MAX_VARINT_BYTES = 10;
/** Fields are two bytes at least and take time to walk; the largest models have some hundred thousand. */
const MAX_FIELDS = 50_000_000;
/** Names, operators and keys; anything longer is no name. */
export const MAX_TEXT_BYTES = 64 * 1024;

/** What messages are read from: a `RandomAccessFile`, or bytes in memory. */
export interface WireSource {
  /** For messages. */
  readonly path: string;
  readonly size: number;
  /** Bytes [offset, offset + length). @throws CheckpointError `malformed` when they are not all there. */
  readSync(offset: number, length: number): Uint8Array;
}

/** Bytes that are in memory already, such as a block that was compressed; `path` is the file they came from. */
export function memorySource(bytes: Uint8Array, path: string): WireSource {
  return {
    path,
    size: bytes.length,
    readSync: (offset, length) => {
      if (offset + length > bytes.length)
        throw new CheckpointError('malformed', 'the message ends here', { file: path });
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** Bytes [begin, end) of a source. */
export interface ByteSpan {
  readonly begin: number;
  readonly end: number;
}

/** One field of a message. */
export interface WireField {
  readonly number: number;
  readonly kind: 'varint' | 'fixed64' | 'bytes' | 'fixed32';
  /** The field with its key and length, as it can be copied into another message. */
  readonly whole: ByteSpan;
  /** The value alone. */
  readonly value: ByteSpan;
}

/** An integer of 64 bits. */
export interface Integer {
  /** Signed; beyond 2^53 the nearest double. */
  readonly value: number;
  /** Its 32-bit halves, unsigned. */
  readonly low: number;
  readonly high: number;
}

const KINDS: Readonly<Record<number, WireField['kind']>> = {
  0: 'varint',
  1: 'fixed64',
  2: 'bytes',
  5: 'fixed32',
};

/** Reads fields and scalars anywhere in a protobuf message. Every error names file and byte. */
export class WireReader {
  private window: Uint8Array = new Uint8Array(0);
  private windowBegin = 0;
  private fieldCount = 0;

  constructor(readonly file: WireSource) {}

  /**
   * The fields of a message, in order.
   *
   * @throws CheckpointError `malformed` for anything that does not fit inside the message.
   */
  *fields(message: ByteSpan): Generator<WireField> {
    let position = message.begin;
    while (position < message.end) {
      if (++this.fieldCount > MAX_FIELDS)
        throw this.error('unsupported', `more than ${MAX_FIELDS} fields`, position);
      const field = this.field(position, message.end);
      yield field;
      position = field.whole.end;
    }
  }

  private field(begin: number, end: number): WireField {
    const key = this.varint(begin, end);
    const number = Math.floor(key.value / 8);
    const kind = KINDS[key.value % 8];
    if (kind === undefined || number < 1 || key.value < 0)
      throw this.error('malformed', 'no field begins here', begin);
    let valueBegin = key.end;
    let valueEnd: number;
    if (kind === 'varint') valueEnd = this.varint(valueBegin, end).end;
    else if (kind === 'bytes') {
      const length = this.varint(valueBegin, end);
      valueBegin = length.end;
      valueEnd = valueBegin + length.value;
      if (length.value < 0) throw this.error('malformed', 'a negative length', begin);
    } else valueEnd = valueBegin + (kind === 'fixed64' ? 8 : 4);
    if (valueEnd > end)
      throw this.error('malformed', `a field ends at byte ${valueEnd}, its message at ${end}`, begin);
    return { number, kind, whole: { begin, end: valueEnd }, value: { begin: valueBegin, end: valueEnd } };
  }

  private varint(begin: number, end: number): Integer & { readonly end: number } {
    let low = 0;
    let high = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      if (begin + i >= end) break;
      const byte = this.byte(begin + i);
      const bits = byte & 0x7f;
      // Seven bits a byte: bytes 0 … 3 lie in the lower half, byte 4 across, the rest in the upper.
      if (i < 4) low += bits * 2 ** (7 * i);
      else if (i === 4) {
        low += (bits & 0x0f) * 2 ** 28;
        high += bits >> 4;
      } else high += bits * 2 ** (7 * i - 32);
      if (byte < 0x80) return { value: signed64(low, high), low, high: high % 2 ** 32, end: begin + i + 1 };
    }
    throw this.error('malformed', 'an integer that does not end', begin);
  }

  /** The integers of a field: one, or several packed together. */
  *integers(field: WireField): Generator<Integer> {
    if (field.kind === 'varint') {
      yield this.varint(field.value.begin, field.value.end);
      return;
    }
    if (field.kind !== 'bytes') throw this.wrongKind(field);
    for (let at = field.value.begin; at < field.value.end;) {
      const integer = this.varint(at, field.value.end);
      yield integer;
      at = integer.end;
    }
  }

  integer(field: WireField): number {
    if (field.kind !== 'varint') throw this.wrongKind(field);
    return this.varint(field.value.begin, field.value.end).value;
  }

  float(field: WireField): number {
    if (field.kind !== 'fixed32') throw this.wrongKind(field);
    const bytes = this.bytes(field.value);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true);
  }

  /** Unsigned. */
  fixed32(field: WireField): number {
    if (field.kind !== 'fixed32') throw this.wrongKind(field);
    const bytes = this.bytes(field.value);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }

  text(field: WireField): string {
    const span = this.message(field);
    if (span.end - span.begin > MAX_TEXT_BYTES)
      throw this.error('malformed', 'a name longer than any name', span.begin);
    return Buffer.from(this.bytes(span)).toString('utf8');
  }

  /** Where an embedded message lies. */
  message(field: WireField): ByteSpan {
    if (field.kind !== 'bytes') throw this.wrongKind(field);
    return field.value;
  }

  bytes({ begin, end }: ByteSpan): Uint8Array {
    const inWindow =
      begin >= this.windowBegin && end <= this.windowBegin + this.window.length && begin <= end;
    if (!inWindow && end - begin > WINDOW_BYTES) return this.file.readSync(begin, end - begin);
    if (!inWindow) this.moveWindow(begin);
    const from = begin - this.windowBegin;
    const bytes = this.window.slice(from, from + end - begin);
    if (bytes.length !== end - begin) throw this.error('malformed', 'the file ends here', begin);
    return bytes;
  }

  error(kind: 'malformed' | 'unsupported', reason: string, offset: number): CheckpointError {
    return new CheckpointError(kind, reason, { file: this.file.path, offset });
  }

  private wrongKind(field: WireField): CheckpointError {
    return this.error('malformed', `field ${field.number} is a ${field.kind} here`, field.whole.begin);
  }

  private byte(position: number): number {
    let byte = this.window[position - this.windowBegin];
    if (byte !== undefined) return byte;
    this.moveWindow(position);
    byte = this.window[0];
    if (byte === undefined) throw this.error('malformed', 'the file ends here', position);
    return byte;
  }

  private moveWindow(begin: number): void {
    const length = Math.max(0, Math.min(WINDOW_BYTES, this.file.size - begin));
    this.window = this.file.readSync(begin, length);
    this.windowBegin = begin;
  }
}

function signed64(low: number, high: number): number {
  const unsigned = high % 2 ** 32;
  const upper = unsigned >= 2 ** 31 ? unsigned - 2 ** 32 : unsigned;
  return upper * 2 ** 32 + low;
}
