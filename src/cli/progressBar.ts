import { printable } from '../checkpoint/errors';
import type { Progress } from '../engine/progress';
import { shortenMiddle, textWidth, type Display } from '../engine/report/display';
import { clock } from '../engine/report/quantities';
import { bar, pad } from './terminal';

/** Redrawing faster than the eye sees only costs time. */
const MIN_MILLISECONDS_BETWEEN_DRAWINGS = 100;

const BAR_CELLS = 24;
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const ERASE_LINE = '\r\u001b[2K';

/** Left free at the end of the line: the last column, where some terminals wrap, and the `^C` that they echo. */
const FREE_COLUMNS = 4;

/** One line of a running job, a little narrower than the display. */
export function renderProgress(progress: Progress, display: Display): string {
  const width = (display.width ?? 80) - FREE_COLUMNS;
  const share = `${String(Math.floor(progress.fraction * 100)).padStart(3)} %`;
  const left = progress.secondsLeft === undefined ? '' : `  ${clock(progress.secondsLeft)} left`;
  const counted = `  ${progress.done}/${progress.total} ${progress.unit ?? 'layers'}`;
  const cells = Math.max(4, Math.min(BAR_CELLS, width - textWidth(share + left + counted) - 3));
  const edge = display.unicode ? '▕' : '|';
  const shown = `${display.unicode ? '▏' : '|'}${bar(progress.fraction, cells, display)}${edge}${share}${counted}${left}`;
  const room = width - textWidth(shown) - 2;
  if (progress.label === undefined || room < 8) return shortenMiddle(shown, width, display);
  return `${shown}  ${shortenMiddle(printable(progress.label), room, display)}`;
}

/** A progress bar on a terminal's line; draws nothing at all where the stream is none. */
export class ProgressBar {
  #drawnAt = -Infinity;
  #isDrawn = false;

  constructor(
    private readonly stream: { write(text: string): unknown },
    private readonly display: Display,
    private readonly now: () => number = () => performance.now(),
  ) {}

  update(progress: Progress): void {
    if (this.display.width === undefined) return;
    const now = this.now();
    if (now - this.#drawnAt < MIN_MILLISECONDS_BETWEEN_DRAWINGS) return;
    this.#drawnAt = now;
    const line = pad(renderProgress(progress, this.display), this.display.width - FREE_COLUMNS, 'left');
    // Overwriting flickers less than erasing first.
    this.stream.write(`${this.#isDrawn ? '\r' : HIDE_CURSOR + ERASE_LINE}${line}`);
    this.#isDrawn = true;
  }

  /** Leaves the line empty and the cursor as it was. */
  erase(): void {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    this.#drawnAt = -Infinity;
    this.stream.write(ERASE_LINE + SHOW_CURSOR);
  }
}
