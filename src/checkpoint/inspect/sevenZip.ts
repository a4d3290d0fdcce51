import { partOf, rangeOfBytes, type ByteRange } from './byteRange';
import { inside, type Context, type Part } from './context';
import { LzmaError, decodeLzma, decodeLzma2 } from './lzma';
import { searchBytes } from './pickles';
import {
  HeaderReader,
  SevenZipError,
  headerPlace,
  readNames,
  readStreams,
  type Coder,
  type Folder,
} from './sevenZipHeader';
import { reportPath } from './zipTricks';

const SIGNATURE_BYTES = 32;
const HEADER = 0x01;
const ADDITIONAL_STREAMS = 0x03;
const MAIN_STREAMS = 0x04;
const FILES = 0x05;
const ENCODED_HEADER = 0x17;
/** A header of a hundred thousand names. */
const MAX_HEADER_BYTES = 16 * 1024 * 1024;
/** Headers packed within headers. */
const MAX_HEADERS = 4;
const MAX_UNPACKED_BYTES = 32 * 1024 * 1024;
/** LZMA is decoded at some ten megabytes a second here, DEFLATE some twenty times as fast. */
const COST = 16;

/** A 7z archive: its files, where they are stored or packed with LZMA; what is packed otherwise is told. */
export async function inspectSevenZip(part: Part, context: Context): Promise<string> {
  const { range, where } = part;
  context.report.parts++;
  try {
    const { folders, names } = readArchive(range);
    let file = 0;
    for (const folder of folders) {
      const bytes = unpack(range, folder, MAX_UNPACKED_BYTES, context);
      let at = 0;
      for (const size of folder.files) {
        const name = names[file++] ?? 'a file without a name';
        reportPath(name, name, where, context.report);
        const data = rangeOfBytes(bytes.subarray(at, at + size));
        at += size;
        await context.look({ range: data, where: inside(part, name), name, depth: part.depth + 1 });
      }
    }
  } catch (error) {
    if (!(error instanceof SevenZipError || error instanceof LzmaError)) throw error;
    context.report.find('unknown', 'limit', `a 7z archive that was not looked into: ${error.message}`, where);
    await searchBytes(part, context, 0);
  }
  return 'a 7z archive';
}

function readArchive(range: ByteRange): { folders: Folder[]; names: string[] } {
  const place = headerPlace(range.read(0, SIGNATURE_BYTES));
  if (place === undefined || place.length > MAX_HEADER_BYTES)
    throw new SevenZipError('no header that can be read');
  let header = range.read(SIGNATURE_BYTES + place.offset, place.length);
  for (let i = 0; i < MAX_HEADERS; i++) {
    const reader = new HeaderReader(header);
    const id = reader.byte();
    if (id === HEADER) return readHeader(reader);
    if (id !== ENCODED_HEADER) break;
    const [folder] = readStreams(reader);
    if (folder === undefined) break;
    header = unpack(range, folder, MAX_HEADER_BYTES);
  }
  throw new SevenZipError('the header is damaged');
}

function readHeader(reader: HeaderReader): { folders: Folder[]; names: string[] } {
  let folders: Folder[] = [];
  let names: string[] = [];
  for (let id = reader.byte(); id !== 0; id = reader.byte()) {
    if (id === MAIN_STREAMS) folders = readStreams(reader);
    else if (id === ADDITIONAL_STREAMS) readStreams(reader);
    else if (id === FILES) names = readNames(reader);
    else throw new SevenZipError('the header is damaged');
  }
  return { folders, names };
}

function unpack(range: ByteRange, folder: Folder, most: number, context?: Context): Uint8Array {
  const { size, packed, offset, coders } = folder;
  const [coder, ...filters] = coders;
  const bound = Math.min(most, context?.budget.inflated ?? most);
  if (size > bound || packed > bound) throw new SevenZipError(`${size} bytes are more than is unpacked`);
  if (context !== undefined) context.budget.inflated -= COST * size;
  const data = partOf(range, SIGNATURE_BYTES + offset, packed);
  const bytes = data.read(0, data.size);
  return filters.reduce(unfiltered, decoded(bytes, coder, size));
}

function decoded(bytes: Uint8Array, coder: Coder | undefined, size: number): Uint8Array {
  switch (coder?.method) {
    case '00':
      return bytes;
    case '030101':
      return decodeLzma(bytes, coder.properties, size);
    case '21':
      return decodeLzma2(bytes, size);
    default:
      throw new SevenZipError(`packed by method ${coder?.method ?? 'none'}`);
  }
}

/** A filter for machine code (BCJ, x86) changes what follows these two bytes alone. */
const CODE_FILTER = '03030103';
const CALL = 0xe8;
const JUMP = 0xe9;

function unfiltered(bytes: Uint8Array, { method }: Coder): Uint8Array {
  if (method === CODE_FILTER && !bytes.includes(CALL) && !bytes.includes(JUMP)) return bytes;
  throw new SevenZipError(`filtered by method ${method}`);
}
