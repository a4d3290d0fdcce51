import type { FileHandle } from 'node:fs/promises';
import { deflateRawSync } from 'node:zlib';
import type { ZipArchive, ZipEntry } from '../zip';
import { crc32 } from './crc32';
import { writeAt } from './staging';

const LOCAL_SIGNATURE = 0x04034b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;
const END64_SIGNATURE = 0x06064b50;
const LOCATOR64_SIGNATURE = 0x07064b50;
const CENTRAL_BYTES = 46;

/** Names are UTF-8: the only flag that is kept. */
const FLAG_UTF8 = 0x0800;
const METHOD_DEFLATE = 8;
const EXTRA_ZIP64 = 1;
/** Versions of the format needed: for plain entries, and for 64-bit sizes. */
const VERSION = 20;
const VERSION_64 = 45;
/** From here on a size or place is kept in 64 bits. */
const FULL_32 = 0xffffffff;
const FULL_16 = 0xffff;
const COPY_BYTES = 1 << 22;

/** What the new archive's directory says of an entry. */
interface Written {
  readonly entry: ZipEntry;
  readonly name: Uint8Array;
  /** The old directory's record, for time stamps and attributes. */
  readonly record: Buffer;
  readonly crc: number;
  readonly compressedLength: number;
  readonly byteLength: number;
  readonly localHeader: number;
}

/**
 * Writes an archive again with new data for some entries, in the same order and each compressed as it was. All other
 * entries keep their data as it stands.
 *
 * @param replaced new contents by entry name, uncompressed
 */
export async function rewriteArchive(
  handle: FileHandle,
  archive: ZipArchive,
  replaced: ReadonlyMap<string, () => Promise<Uint8Array>>,
): Promise<void> {
  const written: Written[] = [];
  let at = 0;
  for (const entry of archive.entries.values()) {
    const record = Buffer.from(archive.file.readSync(entry.centralHeader, CENTRAL_BYTES));
    const name = archive.file.readSync(entry.centralHeader + CENTRAL_BYTES, record.readUInt16LE(28));
    const contents = await replaced.get(entry.name)?.();
    const compressed = contents === undefined ? undefined : compress(entry, contents);
    const done: Written = {
      entry,
      name,
      record,
      crc: contents === undefined ? record.readUInt32LE(16) : crc32(contents),
      compressedLength: compressed?.length ?? entry.compressedLength,
      byteLength: contents?.length ?? entry.byteLength,
      localHeader: at,
    };
    const header = localHeader(done);
    await writeAt(handle, header, at);
    at += header.length;
    if (compressed === undefined) await copyData(handle, archive, entry, at);
    else await writeAt(handle, compressed, at);
    at += done.compressedLength;
    written.push(done);
  }
  const directory = Buffer.concat(written.map(centralRecord));
  await writeAt(handle, directory, at);
  await writeAt(handle, endRecords(written.length, directory.length, at), at + directory.length);
}

function compress(entry: ZipEntry, contents: Uint8Array): Uint8Array {
  return entry.method === METHOD_DEFLATE ? deflateRawSync(contents) : contents;
}

async function copyData(handle: FileHandle, archive: ZipArchive, entry: ZipEntry, to: number): Promise<void> {
  const from = archive.dataOffset(entry);
  for (let done = 0; done < entry.compressedLength; done += COPY_BYTES) {
    const bytes = await archive.file.read(from + done, Math.min(COPY_BYTES, entry.compressedLength - done));
    await writeAt(handle, bytes, to + done);
  }
}

function isWide({ compressedLength, byteLength }: Written): boolean {
  return compressedLength >= FULL_32 || byteLength >= FULL_32;
}

function localHeader(written: Written): Buffer {
  const { entry, name, record, crc, compressedLength, byteLength } = written;
  const wide = isWide(written);
  const extra = wide ? extra64([byteLength, compressedLength]) : Buffer.alloc(0);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(LOCAL_SIGNATURE, 0);
  header.writeUInt16LE(wide ? VERSION_64 : VERSION, 4);
  header.writeUInt16LE(entry.flags & FLAG_UTF8, 6);
  header.writeUInt16LE(entry.method, 8);
  record.copy(header, 10, 12, 16); // time and date
  header.writeUInt32LE(crc, 14);
  header.writeUInt32LE(wide ? FULL_32 : compressedLength, 18);
  header.writeUInt32LE(wide ? FULL_32 : byteLength, 22);
  header.writeUInt16LE(name.length, 26);
  header.writeUInt16LE(extra.length, 28);
  return Buffer.concat([header, name, extra]);
}

function centralRecord(written: Written): Buffer {
  const { entry, name, record, crc, compressedLength, byteLength, localHeader: place } = written;
  const wide = isWide(written) || place >= FULL_32;
  const extra = wide ? extra64([byteLength, compressedLength, place]) : Buffer.alloc(0);
  const header = Buffer.from(record);
  header.writeUInt32LE(CENTRAL_SIGNATURE, 0);
  header.writeUInt16LE(wide ? VERSION_64 : VERSION, 6);
  header.writeUInt16LE(entry.flags & FLAG_UTF8, 8);
  header.writeUInt32LE(crc, 16);
  header.writeUInt32LE(wide ? FULL_32 : compressedLength, 20);
  header.writeUInt32LE(wide ? FULL_32 : byteLength, 24);
  header.writeUInt16LE(extra.length, 30);
  header.writeUInt16LE(0, 32); // no comment
  header.writeUInt32LE(wide ? FULL_32 : place, 42);
  return Buffer.concat([header, name, extra]);
}

function extra64(values: readonly number[]): Buffer {
  const extra = Buffer.alloc(4 + 8 * values.length);
  extra.writeUInt16LE(EXTRA_ZIP64, 0);
  extra.writeUInt16LE(8 * values.length, 2);
  values.forEach((value, i) => extra.writeBigUInt64LE(BigInt(value), 4 + 8 * i));
  return extra;
}

function endRecords(count: number, length: number, start: number): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END_SIGNATURE, 0);
  end.writeUInt16LE(Math.min(count, FULL_16), 8);
  end.writeUInt16LE(Math.min(count, FULL_16), 10);
  end.writeUInt32LE(Math.min(length, FULL_32), 12);
  end.writeUInt32LE(Math.min(start, FULL_32), 16);
  if (count < FULL_16 && length < FULL_32 && start < FULL_32) return end;
  const end64 = Buffer.alloc(56);
  end64.writeUInt32LE(END64_SIGNATURE, 0);
  end64.writeBigUInt64LE(44n, 4);
  end64.writeUInt16LE(VERSION_64, 12);
  end64.writeUInt16LE(VERSION_64, 14);
  end64.writeBigUInt64LE(BigInt(count), 24);
  end64.writeBigUInt64LE(BigInt(count), 32);
  end64.writeBigUInt64LE(BigInt(length), 40);
  end64.writeBigUInt64LE(BigInt(start), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(LOCATOR64_SIGNATURE, 0);
  locator.writeBigUInt64LE(BigInt(start + length), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([end64, locator, end]);
}
