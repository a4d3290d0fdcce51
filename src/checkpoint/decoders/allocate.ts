import { CheckpointError } from '../errors';

/** Bytes of a result, zeros, at byte 0 of an ArrayBuffer of their own. */
export function allocateResult(byteLength: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(byteLength);
  } catch (error) {
    const reason = `${byteLength} bytes in one piece are more than this computer can hold`;
    throw new CheckpointError('unsupported', reason, {}, { cause: error });
  }
}
