import { printable } from '../checkpoint/errors';
import { suggestion } from '../checkpoint/wording';
import { TOOL } from '../engine/version';
import { auditCommand } from './auditCommand';
import { backendsCommand } from './backendsCommand';
import { cacheCommand } from './cacheCommand';
import type { CliCommand, Run } from './command';
import { convertCommand } from './convertCommand';
import { figuresCommand } from './figuresCommand';
import { UsageError } from './flags';
import { inspectCommand } from './inspectCommand';
import { trainCommand } from './trainCommand';
import { utilizeCommand } from './utilizeCommand';

/** In the order in which the help lists them. */
export const COMMANDS: readonly CliCommand[] = [
  auditCommand,
  inspectCommand,
  utilizeCommand,
  convertCommand,
  trainCommand,
  figuresCommand,
  backendsCommand,
  cacheCommand,
];

/**
 * What a command line asks for, ready to run.
 *
 * @param argv what follows the program's name
 * @throws UsageError
 */
export function parseCommand(argv: readonly string[]): Run {
  const [name, ...rest] = argv;
  switch (name) {
    case undefined:
      throw new UsageError('no command given: try rankscope --help');
    case '--help':
    case '-h':
    case 'help':
      return printing(generalHelp());
    case '--version':
    case '-v':
    case '-V':
      return printing(`${TOOL.name} ${TOOL.version}\n`);
  }
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) {
    const names = COMMANDS.map((known) => known.name);
    throw new UsageError(
      `unknown command "${printable(name)}"${suggestion(name, names)}: try rankscope --help`,
    );
  }
  const run = command.parse(rest);
  return run === 'help' ? printing(command.help) : run;
}

function printing(text: string): Run {
  return ({ print }) => {
    print(text);
    return 0;
  };
}

function generalHelp(): string {
  const lines: (readonly [string, string])[] = [
    ...COMMANDS.flatMap(({ usage }) => usage),
    ['<command> --help', 'more about a command'],
    ['--version', ''],
  ];
  const width = Math.max(...lines.map(([call]) => call.length));
  const usage = lines.map(([call, summary]) => `  rankscope ${call.padEnd(width)}   ${summary}`.trimEnd());
  return `rankscope: how much of each layer of a neural network is used.

Usage
${usage.join('\n')}

Exit codes
  0 done   1 failed   2 wrong usage   3 a --fail-... gate did not hold
  130 cancelled
`;
}
