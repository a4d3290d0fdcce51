import type { Cursor } from './cursor';

/** Published models have some fifty; each takes as many bytes of memory as its name. */
const MAX_KEYS = 10_000;
/** The specification's bound. */
const MAX_KEY_BYTES = 65_535;
/** Texts that are kept are names of architectures and the like. */
const MAX_TEXT_BYTES = 4096;
/** The specification allows arrays in arrays; llama.cpp's own reader refuses them, and no file in use has them. */
const MAX_ARRAY_DEPTH = 4;

const UINT8 = 0;
const INT8 = 1;
const UINT16 = 2;
const INT16 = 3;
const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
const UINT64 = 10;
const INT64 = 11;
const FLOAT64 = 12;

/** Bytes of a value, by type; strings and arrays have lengths of their own. */
const VALUE_BYTES: ReadonlyMap<number, number> = new Map([
  [UINT8, 1],
  [INT8, 1],
  [UINT16, 2],
  [INT16, 2],
  [UINT32, 4],
  [INT32, 4],
  [FLOAT32, 4],
  [BOOL, 1],
  [UINT64, 8],
  [INT64, 8],
  [FLOAT64, 8],
]);

/** What is kept of the metadata. */
export type MetadataValue = string | number;

/** Keys whose values are kept; all others, tokenizers among them, are stepped over. */
const KEPT: ReadonlySet<string> = new Set([
  'general.architecture',
  'general.type',
  'general.alignment',
  'adapter.type',
  'adapter.lora.alpha',
  'split.no',
  'split.count',
  'split.tensors.count',
]);

/**
 * Walks over the metadata of a GGUF file ("GGUF specification", section "File structure").
 *
 * @param count of pairs, as the header gives it
 * @returns the values of the keys in {@link KEPT} that are text, a float or a count
 * @throws CheckpointError
 */
export function readMetadata(cursor: Cursor, count: number): ReadonlyMap<string, MetadataValue> {
  if (count > MAX_KEYS) throw cursor.malformed(`${count} keys of metadata, more than ${MAX_KEYS}`);
  const keys = new Set<string>();
  const kept = new Map<string, MetadataValue>();
  for (let i = 0; i < count; i++) {
    const start = cursor.position;
    const key = cursor.text(MAX_KEY_BYTES, 'a key');
    if (keys.has(key)) throw cursor.malformed(`the key "${key}" is given twice`, start);
    keys.add(key);
    const type = cursor.uint32();
    const value = KEPT.has(key) ? readValue(cursor, type) : undefined;
    if (value === undefined) skipValue(cursor, type);
    else kept.set(key, value);
  }
  return kept;
}

/** Undefined, with nothing read, for types that no kept key has. */
function readValue(cursor: Cursor, type: number): MetadataValue | undefined {
  switch (type) {
    case STRING:
      return cursor.text(MAX_TEXT_BYTES, 'a text');
    case UINT8:
      return cursor.uint8();
    case UINT16:
      return cursor.uint16();
    case UINT32:
      return cursor.uint32();
    case INT32:
      return cursor.uint32() | 0; // split.tensors.count is written as one
    case UINT64:
      return cursor.uint64();
    case FLOAT32:
      return cursor.float32();
    default:
      return undefined;
  }
}

function skipValue(cursor: Cursor, type: number): void {
  const bytes = VALUE_BYTES.get(type);
  if (bytes !== undefined) cursor.skip(bytes);
  else if (type === STRING) cursor.skip(cursor.length());
  else if (type === ARRAY) skipArray(cursor, 1);
  else throw unknownType(cursor, type);
}

function skipArray(cursor: Cursor, depth: number): void {
  if (depth > MAX_ARRAY_DEPTH) throw cursor.malformed(`arrays nested more than ${MAX_ARRAY_DEPTH} deep`);
  const type = cursor.uint32();
  const count = cursor.length();
  const bytes = VALUE_BYTES.get(type);
  // A product beyond 2^53 is inexact, and still beyond the file.
  if (bytes !== undefined) cursor.skip(count * bytes);
  else if (type === STRING) cursor.skipTexts(count);
  else if (type === ARRAY) for (let i = 0; i < count; i++) skipArray(cursor, depth + 1);
  else throw unknownType(cursor, type);
}

function unknownType(cursor: Cursor, type: number): Error {
  return cursor.malformed(`a value of type ${type}, which GGUF does not have`, cursor.position - 4);
}
