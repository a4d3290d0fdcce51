import { CheckpointError } from './errors';
import type { RandomAccessFile } from './file';

const BLOCK_BYTES = 512;
/** The archives read here have four members. */
const MAX_MEMBERS = 1000;

export interface TarMember {
  readonly offset: number;
  readonly byteLength: number;
}

/** Whether the first 512 bytes of a file are a tar header: its checksum is right. */
export function looksLikeTar(head: Uint8Array): boolean {
  if (head.length < BLOCK_BYTES || head[0] === 0) return false;
  const stored = octal(head.subarray(148, 156));
  let sum = 0;
  // The checksum counts its own field as spaces.
  for (let i = 0; i < BLOCK_BYTES; i++) sum += i >= 148 && i < 156 ? 0x20 : (head[i] ?? 0);
  return stored === sum;
}

/** Regular files of a tar archive, by name. @throws CheckpointError `malformed`. */
export async function readTarMembers(file: RandomAccessFile): Promise<ReadonlyMap<string, TarMember>> {
  const members = new Map<string, TarMember>();
  let offset = 0;
  for (let count = 0; offset + BLOCK_BYTES <= file.size; count++) {
    const header = await file.read(offset, BLOCK_BYTES);
    if (header.every((byte) => byte === 0)) break;
    const byteLength = octal(header.subarray(124, 136));
    const dataStart = offset + BLOCK_BYTES;
    const at = { file: file.path, offset };
    if (!looksLikeTar(header) || byteLength === undefined)
      throw new CheckpointError('malformed', 'tar: a damaged header', at);
    if (count >= MAX_MEMBERS)
      throw new CheckpointError('unsupported', `tar: more than ${MAX_MEMBERS} members`, at);
    if (dataStart + byteLength > file.size)
      throw new CheckpointError('malformed', 'tar: a member is cut off', at);
    const name = text(header.subarray(0, 100)).replace(/^\.\//, '');
    const type = header[156];
    if (type === 0 || type === 0x30) {
      if (members.has(name))
        throw new CheckpointError('malformed', `tar: two members are called "${name}"`, at);
      members.set(name, { offset: dataStart, byteLength });
    }
    offset = dataStart + Math.ceil(byteLength / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return members;
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8');
}

function octal(bytes: Uint8Array): number | undefined {
  const digits = text(bytes).trim();
  return /^[0-7]{1,12}$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}
