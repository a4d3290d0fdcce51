import { CheckpointError, printable } from '../../../checkpoint/errors';
import { TextLines } from './textLines';

export type PlyType = 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'float32' | 'float64';

export interface PlyProperty {
  readonly name: string;
  readonly type: PlyType;
  /** Of lists: the type of their length. */
  readonly countType?: PlyType;
}

export interface PlyElement {
  readonly name: string;
  readonly count: number;
  readonly properties: readonly PlyProperty[];
}

const FORMATS = ['ascii', 'binary_little_endian', 'binary_big_endian'] as const;

export interface PlyHeader {
  readonly format: (typeof FORMATS)[number];
  readonly elements: readonly PlyElement[];
  /** Byte at which the numbers begin. */
  readonly bodyStart: number;
}

/** Both names of each. */
const TYPES: ReadonlyMap<string, PlyType> = new Map([
  ['char', 'int8'],
  ['uchar', 'uint8'],
  ['short', 'int16'],
  ['ushort', 'uint16'],
  ['int', 'int32'],
  ['uint', 'uint32'],
  ['float', 'float32'],
  ['double', 'float64'],
  ...(['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'float32', 'float64'] as const).map(
    (name) => [name, name] as const,
  ),
]);

/** Scans have a dozen lines. */
const MAX_LINES = 1000;

/** @throws CheckpointError naming the line */
export function readPlyHeader(bytes: Uint8Array): PlyHeader {
  const lines = new TextLines(bytes);
  const elements: { name: string; count: number; properties: PlyProperty[] }[] = [];
  let format: PlyHeader['format'] | undefined;
  const fail = (reason: string): CheckpointError =>
    new CheckpointError('malformed', `line ${lines.number}: ${reason}`);
  for (let line = lines.next(); line !== undefined && lines.number <= MAX_LINES; line = lines.next()) {
    const [word = '', first = '', ...rest] = line.split(/\s+/);
    switch (word) {
      case 'format':
        format = FORMATS.find((known) => known === first);
        if (format === undefined) throw fail(`a PLY in the format "${printable(first)}"`);
        break;
      case 'element': {
        const count = Number(rest[0]);
        // Every record has a byte at least, be it a digit.
        if (!Number.isInteger(count) || count < 0 || count > bytes.length)
          throw fail(`an element of "${printable(rest[0] ?? '')}" records`);
        elements.push({ name: first, count, properties: [] });
        break;
      }
      case 'property': {
        const element = elements.at(-1);
        if (element === undefined) throw fail('a property of no element');
        element.properties.push(propertyOf([first, ...rest], fail));
        break;
      }
      case 'end_header': {
        if (format === undefined) throw fail('a header that names no format');
        const filled = elements.filter(({ properties }) => properties.length > 0);
        return { format, elements: filled, bodyStart: lines.offset };
      }
      default:
    }
  }
  throw new CheckpointError('malformed', 'a PLY header without an end');
}

function propertyOf(words: readonly string[], fail: (reason: string) => CheckpointError): PlyProperty {
  const typeOf = (word = ''): PlyType => {
    const type = TYPES.get(word);
    if (type === undefined) throw fail(`a property of type "${printable(word)}"`);
    return type;
  };
  if (words[0] !== 'list') return { name: words[1] ?? '', type: typeOf(words[0]) };
  return { name: words[3] ?? '', countType: typeOf(words[1]), type: typeOf(words[2]) };
}
