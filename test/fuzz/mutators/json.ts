/** Mutators of JSON: a tree of source text, so that keys may stand twice and numbers have any length. */
import type { Random } from '../random';
import type { Mutator } from '../reader';
import { interesting } from './bytes';

type Json =
  | { readonly kind: 'object'; readonly members: [string, Json][] }
  | { readonly kind: 'array'; readonly items: Json[] }
  /** A number, text with its quotes, or a word. */
  | { readonly kind: 'text'; text: string };

const TOKEN = /\s*("(?:[^"\\]|\\.)*"|[^\s"{}[\],:]+|[{}[\],:])/y;

/** Values nested deeper than this are left as they are. */
const MAX_DEPTH = 100;

/** The tree of a text that need not be sound; undefined where nothing can be made of it. */
function parse(source: string): Json | undefined {
  TOKEN.lastIndex = 0;
  let token = TOKEN.exec(source)?.[1];
  let depth = 0;
  const next = (): void => {
    // An expression that fails begins again at the start.
    if (token !== undefined) token = TOKEN.exec(source)?.[1];
  };
  const value = (): Json | undefined => {
    if (depth >= MAX_DEPTH) return undefined;
    depth++;
    const result = valueHere();
    depth--;
    return result;
  };
  const valueHere = (): Json | undefined => {
    const first = token;
    next();
    if (first === '{') {
      const members: [string, Json][] = [];
      while (token !== undefined && token !== '}') {
        const key = token;
        next();
        next();
        const member = value();
        if (member === undefined) return undefined;
        members.push([key, member]);
        if (token === ',') next();
      }
      next();
      return { kind: 'object', members };
    }
    if (first === '[') {
      const items: Json[] = [];
      while (token !== undefined && token !== ']') {
        const item = value();
        if (item === undefined) return undefined;
        items.push(item);
        if (token === ',') next();
      }
      next();
      return { kind: 'array', items };
    }
    return first === undefined ? undefined : { kind: 'text', text: first };
  };
  return value();
}

function print(json: Json): string {
  switch (json.kind) {
    case 'object':
      return `{${json.members.map(([key, member]) => `${key}:${print(member)}`).join()}}`;
    case 'array':
      return `[${json.items.map(print).join()}]`;
    case 'text':
      return json.text;
  }
}

/** A value in its place: what it is, and how it is replaced. */
interface Place {
  readonly value: Json;
  readonly set: (value: Json) => void;
}

function places(root: Json, setRoot: (value: Json) => void): Place[] {
  const found: Place[] = [{ value: root, set: setRoot }];
  // It grows while it is walked.
  for (const { value } of found) {
    if (value.kind === 'object')
      for (const member of value.members)
        found.push({ value: member[1], set: (other) => (member[1] = other) });
    else if (value.kind === 'array')
      value.items.forEach((item, at) =>
        found.push({ value: item, set: (other) => (value.items[at] = other) }),
      );
  }
  return found;
}

const HOSTILE_NAMES = [
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '', '.', '..', '0', '-1'],
  ...[
    '../escaped',
    '/etc/passwd',
    'C:\\x',
    'a/b',
    '\\u0000',
    '\\u001b[2J',
    '\\u202e',
    '\\ud800',
    'shape',
    'dtype',
  ],
];
const WORDS = [
  'null',
  'true',
  'false',
  'NaN',
  'Infinity',
  '-0',
  '1e999',
  '-1',
  '0.5',
  '1E5',
  '""',
  '[]',
  '{}',
  '00',
  '',
];

function text(value: string): Json {
  return { kind: 'text', text: value };
}

function hostileValue(random: Random): Json {
  const name = (): string => `"${random.pick(HOSTILE_NAMES)}"`;
  const depth = random.small(20_000);
  switch (random.below(10)) {
    case 8:
      return text('['.repeat(depth) + ']'.repeat(depth));
    case 9:
      // What a program that makes text of any value trips over.
      return text(
        random.pick([
          '{"toString":1}',
          '{"toJSON":1,"length":4294967295}',
          '[{"toString":null,"valueOf":0}]',
        ]),
      );
    case 0:
    case 1:
    case 2:
      return text(String(interesting(random, 0)));
    case 3:
      return text(random.pick(WORDS));
    case 4:
      return text(name());
    case 5:
      return text(random.pick(['[', '{"a":']).repeat(random.small(100_000)));
    case 6:
      return text(
        `"${random.pick(['a', '\\u0041', '\\n', 'é'])}`.padEnd(2) + 'x'.repeat(random.small(20_000)) + '"',
      );
    default:
      return text(`${'['.repeat(3)}${name()}${']'.repeat(3)}`);
  }
}

function mutate(root: Json, random: Random): Json {
  let result = root;
  const all = places(root, (value) => (result = value));
  const place = random.pick(all);
  const other = random.pick(all);
  const { value } = place;
  const objects = all.flatMap((one) => (one.value.kind === 'object' ? [one.value.members] : []));
  const members = objects.length === 0 ? [] : random.pick(objects);
  const at = random.below(members.length);
  const member = members[at];
  switch (random.below(9)) {
    case 0:
    case 1:
      place.set(hostileValue(random));
      break;
    case 2:
      // A copy, never the value itself: a tree stays a tree.
      if (print(other.value).length < 100_000) place.set(text(print(other.value)));
      break;
    case 3:
      if (member !== undefined) members.splice(random.below(members.length + 1), 0, [...member]);
      break;
    case 4:
      if (member !== undefined) member[0] = `"${random.pick(HOSTILE_NAMES)}"`;
      break;
    case 5:
      members.splice(at, 1);
      break;
    case 6:
      if (value.kind === 'array' && value.items.length > 0) {
        const item = text(print(random.pick(value.items)));
        for (let i = random.small(10_000); i > 0; i--) value.items.push(item);
      } else if (value.kind === 'text') value.text = nudged(value.text, random);
      break;
    case 7:
      if (value.kind === 'array') value.items.splice(random.below(value.items.length), 1);
      else if (value.kind === 'text') value.text = nudged(value.text, random);
      break;
    default:
      members.push([`"${random.pick(HOSTILE_NAMES)}"`, hostileValue(random)]);
  }
  return result;
}

/** A number a little larger or smaller; JSON inside text with a change of its own. */
function nudged(source: string, random: Random): string {
  if (/^\d{1,15}$/.test(source)) return String(Number(source) + random.between(-8, 8));
  if (!source.startsWith('"{')) return source;
  try {
    const inner = parse(String(JSON.parse(source)));
    return inner === undefined ? source : JSON.stringify(print(mutate(inner, random)));
  } catch {
    return source;
  }
}

export const mutateJson: Mutator = (bytes, random) => {
  const root = bytes.length > 200_000 ? undefined : parse(bytes.toString('utf8'));
  return root === undefined ? undefined : Buffer.from(print(mutate(root, random)), 'utf8');
};

/** The header of a safetensors file, its length put right most of the time. */
export const mutateSafetensorsHeader: Mutator = (bytes, random, context) => {
  if (bytes.length < 8) return undefined;
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  if (end > bytes.length) return undefined;
  const header = mutateJson(bytes.subarray(8, end), random, context);
  if (header === undefined) return undefined;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(
    BigInt(Math.max(0, header.length + (random.chance(0.95) ? 0 : random.between(-3, 3)))),
  );
  return Buffer.concat([length, header, bytes.subarray(end)]);
};
