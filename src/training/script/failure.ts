/** Why a program ended, in one line, from what it said last. */
import { printable } from '../../checkpoint/errors';
import { cleaned } from './outputLog';

/** Lines looked back at: torchrun sums up below the error that a worker ended with. */
const KEPT_LINES = 60;
const KEPT_CHARACTERS = 1000;

export class LastLines {
  private readonly lines: string[] = [];

  add(line: string): void {
    if (line.trim() === '') return;
    this.lines.push(cleaned(line.slice(0, KEPT_CHARACTERS)));
    if (this.lines.length > KEPT_LINES) this.lines.shift();
  }

  /** The line that names the error, as Python prints it last; else the last line. */
  get reason(): string | undefined {
    const named = this.lines.filter((line) =>
      /^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b/.test(line),
    );
    // What torchrun says of its worker is no news.
    const own = named.filter((line) => !line.includes('ChildFailedError'));
    const line = own.at(-1) ?? named.at(-1) ?? this.lines.at(-1);
    return line === undefined ? undefined : printable(line.trim());
  }
}

export function failureOf(
  code: number | null,
  signal: NodeJS.Signals | null,
  reason: string | undefined,
): string {
  const memory = signal === 'SIGKILL' ? ': it may have run out of memory' : '';
  const how =
    signal === null
      ? `the script ended with code ${code ?? '?'}`
      : `the script was ended by ${signal}${memory}`;
  return reason === undefined || signal !== null ? how : `${how}: ${reason}`;
}
