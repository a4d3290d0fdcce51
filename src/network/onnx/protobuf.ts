/** ONNX messages, written: new ones field by field, old ones as the ranges of the file that hold them. */
import type { ByteSpan } from '../../checkpoint/onnx';

/** A part of a message: bytes, or a range of a file that is copied when the message is put together. */
export type Piece = Uint8Array | FileRange;

export interface FileRange extends ByteSpan {
  readonly path: string;
}

export function pieceLength(piece: Piece): number {
  return piece instanceof Uint8Array ? piece.length : piece.end - piece.begin;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return bytes;
}

/** A field whose value is a non-negative integer. */
export function integerField(number: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(number * 8), ...varint(value)]);
}

/** A field whose value is a text. */
export function textField(number: number, text: string): Piece[] {
  return messageField(number, [Buffer.from(text, 'utf8')]);
}

/** A field whose value is a message, or any bytes. */
export function messageField(number: number, pieces: readonly Piece[]): Piece[] {
  const length = pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
  return [Uint8Array.from([...varint(number * 8 + 2), ...varint(length)]), ...pieces];
}

/** Type of a value: element type (code of `TensorProto.DataType`) and sizes, undefined where any will do. */
export interface ValueType {
  readonly elementType: number;
  readonly shape?: readonly (number | undefined)[];
}

/** `ValueInfoProto` as field `number` of a graph; without a type, ONNX Runtime infers it. */
export function valueField(number: number, name: string, type?: ValueType): Piece[] {
  if (type === undefined) return messageField(number, textField(1, name));
  const dimensions = type.shape?.map((size) =>
    messageField(1, size === undefined ? [] : [integerField(1, size)]),
  );
  const shape = dimensions === undefined ? [] : messageField(2, dimensions.flat());
  const tensor = messageField(1, [integerField(1, type.elementType), ...shape]);
  return messageField(number, [...textField(1, name), ...messageField(2, tensor)]);
}

/** `TensorProto` with raw data, as an initializer of a graph. */
export function initializerField(
  name: string,
  shape: readonly number[],
  elementType: number,
  values: Piece,
): Piece[] {
  return messageField(5, [
    ...shape.map((size) => integerField(1, size)),
    integerField(2, elementType),
    ...textField(8, name),
    ...messageField(9, [values]),
  ]);
}
