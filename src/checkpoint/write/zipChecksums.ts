import type { FileHandle } from 'node:fs/promises';
import type { ZipArchive, ZipEntry } from '../zip';
import { crc32 } from './crc32';
import type { ChangedRange } from './inPlace';

/** Places of a CRC-32 in a local header, in the central directory and in a data descriptor with its signature. */
const LOCAL_CRC = 14;
const CENTRAL_CRC = 16;
const DESCRIPTOR_SIGNATURE = 0x08074b50;

/** The sizes and the CRC-32 follow the data. */
const FLAG_DESCRIPTOR = 0x0008;

/** Read and checked at once. */
const CHUNK_BYTES = 1 << 22;

/**
 * Makes the checksums of an archive right again after data of stored entries was changed in place. PyTorch and Python
 * refuse entries whose CRC-32 is wrong.
 *
 * @param archive the original, whose headers the copy shares
 */
export async function repairChecksums(
  handle: FileHandle,
  archive: ZipArchive,
  changed: readonly ChangedRange[],
): Promise<void> {
  for (const entry of archive.entries.values()) {
    const start = archive.dataOffset(entry);
    const end = start + entry.compressedLength;
    if (!changed.some(({ offset, byteLength }) => offset < end && offset + byteLength > start)) continue;
    await writeChecksum(handle, entry, end, await checksumOf(handle, start, entry.compressedLength));
  }
}

async function checksumOf(handle: FileHandle, start: number, length: number): Promise<number> {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(1, length)));
  let crc = 0;
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, length - done), start + done);
    if (bytesRead === 0) throw new Error('the file became shorter while it was written');
    crc = crc32(chunk.subarray(0, bytesRead), crc);
    done += bytesRead;
  }
  return crc;
}

async function writeChecksum(
  handle: FileHandle,
  entry: ZipEntry,
  dataEnd: number,
  crc: number,
): Promise<void> {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(crc);
  await handle.write(bytes, 0, 4, entry.centralHeader + CENTRAL_CRC);
  if ((entry.flags & FLAG_DESCRIPTOR) === 0) {
    await handle.write(bytes, 0, 4, entry.localHeader + LOCAL_CRC);
    return;
  }
  // The local header's own is 0 then; the descriptor may begin with a signature, or at once with the checksum.
  const word = Buffer.alloc(4);
  await handle.read(word, 0, 4, dataEnd);
  const isSigned = word.readUInt32LE() === DESCRIPTOR_SIGNATURE;
  await handle.write(bytes, 0, 4, dataEnd + (isSigned ? 4 : 0));
}
