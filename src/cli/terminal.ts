/** What the place that text is written to can show. */
export interface Display {
  /** Columns to fit, or undefined when piped: then nothing is shortened. */
  readonly width?: number;
  readonly color: boolean;
  /** Block elements, ×, …; plain ASCII otherwise. */
  readonly unicode: boolean;
}

/** Narrower than this nothing useful fits; wider than this the eye loses the row. */
const MIN_WIDTH = 40;
const MAX_WIDTH = 200;
/** What a terminal that does not tell its size is taken for. */
const DEFAULT_WIDTH = 80;

type Environment = Readonly<Record<string, string | undefined>>;

/** Facts about an output stream; colours only on a terminal, and not where NO_COLOR or TERM=dumb ask for none. */
export function displayOf(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  environment: Environment,
): Display {
  const isDumb = environment.TERM === 'dumb';
  const unicode = !isDumb && isUtf8(environment);
  if (stream.isTTY !== true) return { color: false, unicode };
  const columns = stream.columns !== undefined && stream.columns > 0 ? stream.columns : DEFAULT_WIDTH;
  return {
    width: Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, columns)),
    color: !isDumb && (environment.NO_COLOR ?? '') === '',
    unicode,
  };
}

/** The locale in the order POSIX looks for it; Windows consoles have none and write Unicode. */
function isUtf8({ LC_ALL, LC_CTYPE, LANG }: Environment): boolean {
  const locale = [LC_ALL, LC_CTYPE, LANG].find((value) => value !== undefined && value !== '');
  if (locale === undefined) return process.platform === 'win32';
  return /utf-?8/i.test(locale);
}

const STYLES = { bold: 1, dim: 2, green: 32, yellow: 33, cyan: 36 } as const;
export type Style = keyof typeof STYLES;

/** Text in a style, where the display shows styles. */
export function paint(text: string, style: Style | undefined, { color }: Display): string {
  return color && style !== undefined && text.trim() !== ''
    ? `\u001b[${STYLES[style]}m${text}\u001b[0m`
    : text;
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

export function pad(text: string, width: number, align: 'left' | 'right'): string {
  const blanks = ' '.repeat(Math.max(0, width - textWidth(text)));
  return align === 'left' ? text + blanks : blanks + text;
}

/** Lines of at most `width` columns, broken at blanks; a longer word stands alone. */
export function wrap(text: string, width: number | undefined): string[] {
  if (width === undefined) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && textWidth(line) + 1 + textWidth(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

/** A bar of `cells` columns, filled to a fraction: eighths of a cell with Unicode, `#` and `.` without. */
export function bar(fraction: number, cells: number, { unicode }: Display): string {
  const clamped = Math.min(1, Math.max(0, fraction));
  if (!unicode) {
    const filled = Math.round(clamped * cells);
    return '#'.repeat(filled) + '.'.repeat(cells - filled);
  }
  const eighths = Math.round(clamped * cells * 8);
  const filled = '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '');
  return filled + ' '.repeat(cells - filled.length);
}
