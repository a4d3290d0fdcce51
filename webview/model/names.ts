/**
 * Tensor names as text that cannot play tricks: names come from files that strangers made. What steers a terminal
 * or turns text around is shown as an escape; what a person reads is what the file says.
 */

/** Controls, format characters (bidirectional overrides, zero widths), line separators, lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu;

/** `a\u{202e}b` for a name with a right-to-left override in it. */
export function printable(name: string): string {
  return name.replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u{${code.toString(16).padStart(4, '0')}}`;
  });
}

/** At most `length` characters, the middle left out: `transformer.…attn.weight`. The end tells layers apart: it gets more. */
export function shortenMiddle(text: string, length: number): string {
  const characters = Array.from(text);
  if (characters.length <= length) return text;
  const head = Math.floor((length - 1) * 0.4);
  const tail = length - 1 - head;
  return `${characters.slice(0, head).join('')}…${characters.slice(characters.length - tail).join('')}`;
}

/** The part of a name that stays whole in a narrow cell, so that CSS can cut the part before it: the last two keys. */
export function splitForEllipsis(name: string): readonly [head: string, tail: string] {
  const last = name.lastIndexOf('.');
  const previous = last > 0 ? name.lastIndexOf('.', last - 1) : -1;
  const at = Math.max(previous, name.length - MAX_TAIL);
  // A head this short has nothing to give: an ellipsis would take as much.
  return at <= MIN_HEAD ? ['', name] : [name.slice(0, at), name.slice(at)];
}

const MIN_HEAD = 2;
/** A tail longer than this would push the head out of a cell of the usual width. */
const MAX_TAIL = 22;

/** Suffix that nearly every tensor of a framework carries and that tells nothing. */
const COMMON_SUFFIX = '.weight';

/** Names for an axis: what all share at the front and the suffix `.weight` left out, then shortened. */
export function axisLabels(names: readonly string[], length: number): string[] {
  const prefix = sharedPrefix(names);
  return names.map((name) => {
    const end = name.endsWith(COMMON_SUFFIX) ? name.length - COMMON_SUFFIX.length : name.length;
    const rest = end > prefix ? name.slice(prefix, end) : name;
    return shortenMiddle(printable(rest), length);
  });
}

/** Length of the dotted keys that every name starts with; 0 unless there are at least two names. */
export function sharedPrefix(names: readonly string[]): number {
  const [first] = names;
  if (first === undefined || names.length < 2) return 0;
  let shared = first.length;
  for (const name of names) {
    let i = 0;
    while (i < shared && name[i] === first[i]) i++;
    shared = i;
  }
  return first.lastIndexOf('.', shared - 1) + 1;
}

/** The last component of a path of either kind of separator. */
export function baseName(path: string): string {
  const parts = path.split(/[\\/]/).filter((part) => part !== '');
  return parts.at(-1) ?? path;
}
