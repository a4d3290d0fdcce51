/** What the place that text is written to can show. */
export interface Display {
  /** Columns to fit, or undefined when piped: then nothing is shortened. */
  readonly width?: number;
  readonly color: boolean;
  /** Block elements, ×, …; plain ASCII otherwise. */
  readonly unicode: boolean;
}

/** East Asian wide and emoji blocks, two columns a character (Unicode's EastAsianWidth W and F, in blocks). */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const COMBINING = /\p{Mark}/u;

/** Columns that text without control characters takes on a terminal. */
export function textWidth(text: string): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

function characterWidth(character: string): number {
  if (character < '\u0300') return 1;
  if (COMBINING.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** Text cut in the middle to fit: names differ at their beginnings and ends. */
export function shortenMiddle(text: string, width: number, { unicode }: Display): string {
  if (textWidth(text) <= width) return text;
  const mark = unicode ? '…' : '..';
  const room = width - mark.length;
  if (room < 2) return takeWidth(Array.from(text), Math.max(0, width)).join('');
  const characters = Array.from(text);
  // The end says more: `.attn.qkv.weight`.
  const tail = takeWidth(characters.toReversed(), Math.ceil(room * 0.6)).toReversed();
  const head = takeWidth(characters, room - textWidth(tail.join('')));
  return head.join('') + mark + tail.join('');
}

function takeWidth(characters: readonly string[], width: number): string[] {
  const taken: string[] = [];
  let used = 0;
  for (const character of characters) {
    used += characterWidth(character);
    if (used > width) break;
    taken.push(character);
  }
  return taken;
}
