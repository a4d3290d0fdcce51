import { textWidth, type Display } from '../engine/report/display';

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

/** Below these shares a layer's bar is shown as little used, and as partly used. */
const LITTLE = 1 / 3;
const PARTLY = 2 / 3;

/** @param utilization 0 … 1 */
export function styleOfUse(utilization: number): Style {
  return utilization < LITTLE ? 'yellow' : utilization < PARTLY ? 'cyan' : 'green';
}
