import { latin1, utf8, type ByteRange } from './byteRange';
import type { Context, Part } from './context';
import { codeWithin, inspectConfiguration, parsed } from './json';
import { reportPath } from './zipTricks';

/** Bytes at both ends that are searched: files keep their headers and attributes there, and weights between. */
const HEAD_BYTES = 64 * 1024 * 1024;
const TAIL_BYTES = 16 * 1024 * 1024;
/** Longest configuration that is parsed. */
const MAX_TEXT_BYTES = 32 * 1024 * 1024;
const MAX_CONFIGURATIONS = 50;
/** Characters walked in search of their ends, all together: about a second. */
const MAX_WALKED = 128 * 1024 * 1024;
/** Places tried where a link to another file may be written. */
const MAX_TRIED = 2_000_000;

/** How Keras begins the text of a configuration. */
const BEGINNINGS = [
  '{"class_name"',
  '{"module"',
  '{"name"',
  '{"config"',
  '{"keras_version"',
  "{'class_name'",
];

/**
 * An HDF5 file: the configurations of Keras models in its attributes, and links to other files. The file's own
 * structure is not followed: its bytes are searched.
 */
export function inspectHdf5(part: Part, context: Context): string {
  const { range, where } = part;
  const { report } = context;
  report.parts++;
  const stretches = stretchesOf(range);
  if (stretches.length > 1)
    report.note(
      `${where === '' ? '' : `${where}: `}only its first and last megabytes were searched for code and links`,
    );
  let isKeras = false;
  for (const { start, bytes } of stretches) {
    const text = latin1(bytes);
    isKeras = inspectConfigurations(text, start, part, context) || isKeras;
    if (/"class_name"\s*:\s*"Lambda"|"__lambda__"/.test(text))
      report.find('dangerous', 'code', codeWithin('a Lambda layer'), where);
    for (const file of externalFiles(bytes)) {
      report.find('suspicious', 'path', `a link to another file, "${file}"`, where);
      reportPath(file, file, where, report);
    }
  }
  return isKeras ? 'Keras (.h5)' : 'HDF5';
}

function stretchesOf(range: ByteRange): { readonly start: number; readonly bytes: Uint8Array }[] {
  if (range.size <= HEAD_BYTES + TAIL_BYTES) return [{ start: 0, bytes: range.read(0, range.size) }];
  const tail = range.size - TAIL_BYTES;
  return [
    { start: 0, bytes: range.read(0, HEAD_BYTES) },
    { start: tail, bytes: range.read(tail, TAIL_BYTES) },
  ];
}

/** @returns whether there is one. */
function inspectConfigurations(text: string, start: number, { where }: Part, context: Context): boolean {
  let count = 0;
  const left = { characters: MAX_WALKED };
  for (const beginning of BEGINNINGS) {
    for (let at = text.indexOf(beginning); at >= 0; at = text.indexOf(beginning, at + 1)) {
      if (++count > MAX_CONFIGURATIONS) return true;
      const whole = balanced(text, at, left);
      const value = whole === undefined ? undefined : parsed(utf8(Buffer.from(whole, 'latin1')));
      if (value !== undefined) {
        inspectConfiguration(value, where, context);
        at += whole?.length ?? 0;
      } else if (beginning.includes('class_name'))
        context.report.find('unknown', 'format', 'a configuration that is damaged', where, start + at);
    }
  }
  return count > 0;
}

/** The object that begins here, up to its own closing brace. */
function balanced(text: string, start: number, left: { characters: number }): string | undefined {
  let depth = 0;
  let quoted = false;
  const end = Math.min(text.length, start + MAX_TEXT_BYTES, start + left.characters);
  for (let at = start; at < end; at++) {
    left.characters--;
    const character = text[at];
    if (quoted) {
      if (character === '\\') at++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '{') depth++;
    else if (character === '}' && --depth === 0) return text.slice(start, at + 1);
    else if (character === '\0') return undefined;
  }
  return undefined;
}

const LINK_VERSION = 1;
const EXTERNAL = 64;
/** Flags of a link message: the width of its name's length, a creation order, a type, a character set. */
const HAS_ORDER = 0x04;
const HAS_TYPE = 0x08;
const HAS_SET = 0x10;

/** Files named by external links (HDF5 file format 3.0, IV.A.2.g), found by the shape of their messages. */
function externalFiles(bytes: Uint8Array): Set<string> {
  const files = new Set<string>();
  let tried = 0;
  for (
    let at = bytes.indexOf(EXTERNAL, 2);
    at >= 0 && tried < MAX_TRIED;
    at = bytes.indexOf(EXTERNAL, at + 1)
  ) {
    tried++;
    const flags = bytes[at - 1] ?? 0;
    if (bytes[at - 2] !== LINK_VERSION || (flags & HAS_TYPE) === 0 || flags > 0x1f) continue;
    const file = externalFile(bytes, at + 1, flags);
    if (file !== undefined && files.size < 100) files.add(file);
  }
  return files;
}

function externalFile(bytes: Uint8Array, after: number, flags: number): string | undefined {
  let at = after + ((flags & HAS_ORDER) === 0 ? 0 : 8) + ((flags & HAS_SET) === 0 ? 0 : 1);
  const width = 2 ** (flags & 3);
  let nameLength = 0;
  for (let i = 0; i < width; i++) nameLength += (bytes[at + i] ?? 0) * 2 ** (8 * i);
  at += width;
  if (nameLength === 0 || nameLength > 1024) return undefined;
  at += nameLength;
  const length = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  const value = bytes.subarray(at + 2, at + 2 + length);
  // Version and flags are zero; then two texts, each with its zero byte.
  if (value.length !== length || length < 5 || value[0] !== 0 || value.at(-1) !== 0) return undefined;
  const [file = '', object = '', ...rest] = utf8(value.subarray(1, -1)).split('\0');
  const isText = /^[^\p{Cc}\ufffd]+$/u.test(file) && /^[^\p{Cc}\ufffd]+$/u.test(object);
  return isText && rest.length === 0 ? file : undefined;
}
