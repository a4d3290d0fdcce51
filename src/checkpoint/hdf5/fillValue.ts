import { MESSAGE, type Message } from './objectHeader';

/**
 * The bytes of an element that was never written, empty for zeros (specification IV.A.2.e and f).
 *
 * @throws CheckpointError `malformed`
 */
export function fillValue(messages: readonly Message[], elementBytes: number): readonly number[] {
  for (const { type, body } of messages) {
    if (type !== MESSAGE.fillValue && type !== MESSAGE.oldFillValue) continue;
    const isThere = type === MESSAGE.oldFillValue || isDefined(body);
    const size = isThere ? body.u32() : 0;
    // A value of another size is no value of this type.
    if (size === elementBytes) return [...body.take(size)];
  }
  return [];
}

function isDefined(body: Message['body']): boolean {
  const version = body.u8();
  if (version === 3) return (body.u8() & 0x20) !== 0;
  const defined = body.skip(2).u8();
  return version === 1 || defined !== 0;
}
