import { printable } from '../checkpoint/errors';
import { openBackend, reportBackends } from '../engine/backends';
import type { CliCommand, Streams } from './command';
import { splitFlags, UsageError } from './flags';
import { BACKENDS_HELP } from './help';
import { wrap } from './terminal';

const BACKENDS_OPTIONS = {
  again: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** `rankscope backends`: what can compute here, and which one does. */
export const backendsCommand: CliCommand = {
  name: 'backends',
  usage: [['backends', 'what can compute here, and what does']],
  help: BACKENDS_HELP,
  parse(argv) {
    const { values, positionals } = splitFlags('backends', argv, BACKENDS_OPTIONS);
    if (values.help) return 'help';
    if (positionals.length > 0)
      throw new UsageError('rankscope backends takes no file: try rankscope backends --help');
    return (terminal) =>
      terminal.job(false, (streams, signal) => runBackends(values.again ?? false, streams, signal));
  },
};

async function runBackends(
  again: boolean,
  { out, display, complain }: Streams,
  signal: AbortSignal,
): Promise<number> {
  const reports = await reportBackends(signal, again);
  const width = Math.max(...reports.map(({ name }) => name.length));
  for (const { name, usable, about } of reports) {
    const words = `${usable ? 'usable' : 'not usable'}: ${printable(about)}`;
    const [first = '', ...rest] = wrap(
      words,
      display.width === undefined ? undefined : display.width - width - 2,
    );
    out(`${name.padEnd(width)}  ${first}\n`);
    for (const line of rest) out(`${' '.repeat(width)}  ${line}\n`);
  }
  const { backend, why } = await openBackend({ signal, onNotice: complain });
  try {
    for (const line of wrap(`auto uses ${backend.name}: ${printable(why)}`, display.width)) out(`${line}\n`);
  } finally {
    await backend.dispose();
  }
  return 0;
}
