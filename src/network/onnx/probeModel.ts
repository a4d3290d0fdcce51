import { type Piece, initializerField, integerField, messageField, textField, valueField } from './protobuf';

const FLOAT = 1;

/** y = x·[[3], [4]] for x 1 × 2: the least that shows that a runtime computes. Model version 8, operator set 13. */
export function probeModel(): Uint8Array {
  const node = messageField(1, [
    ...textField(1, 'x'),
    ...textField(1, 'w'),
    ...textField(2, 'y'),
    ...textField(4, 'MatMul'),
  ]);
  const graph: Piece[] = [
    ...node,
    ...textField(2, 'probe'),
    ...initializerField('w', [2, 1], FLOAT, new Uint8Array(Float32Array.of(3, 4).buffer)),
    ...valueField(11, 'x', { elementType: FLOAT, shape: [1, 2] }),
    ...valueField(12, 'y', { elementType: FLOAT, shape: [1, 1] }),
  ];
  const pieces = [integerField(1, 8), ...messageField(8, [integerField(2, 13)]), ...messageField(7, graph)];
  // No piece is a range of a file here.
  return Buffer.concat(pieces.filter((piece) => piece instanceof Uint8Array));
}
