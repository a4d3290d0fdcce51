import type { ParseArgsConfig } from 'node:util';
import type { Level } from '../engine/inspectionDocument';
import { UsageError, oneOf, splitFlags } from './flags';

const FORMATS = ['table', 'json'] as const;
/** Levels that a gate can refuse. */
export const GATES = ['dangerous', 'suspicious', 'unknown'] as const satisfies readonly Level[];

export interface InspectArguments {
  readonly inputs: readonly string[];
  readonly format: (typeof FORMATS)[number];
  /** File to write the document to; `-` is stdout. */
  readonly json?: string;
  /** The mildest level that fails. */
  readonly failOn?: (typeof GATES)[number];
  /** List harmless globals too. */
  readonly all: boolean;
}

const INSPECT_OPTIONS = {
  format: { type: 'string' },
  json: { type: 'string' },
  all: { type: 'boolean' },
  'fail-on': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

/**
 * What the arguments of `rankscope inspect` ask for.
 *
 * @throws UsageError
 */
export function parseInspect(argv: readonly string[]): InspectArguments | 'help' {
  const { values, positionals } = splitFlags('inspect', argv, INSPECT_OPTIONS);
  if (values.help) return 'help';
  if (positionals.length === 0) throw new UsageError('no file or folder given: try rankscope inspect --help');
  const format = oneOf('--format', values.format ?? 'table', FORMATS);
  if (values.json === '') throw new UsageError('--json needs a file name, or - for stdout');
  if (values.json === '-' && values.format === 'table')
    throw new UsageError('--json - and --format table both want stdout: give --json a file name');
  return {
    inputs: positionals,
    format: values.json === '-' ? 'json' : format,
    all: values.all ?? false,
    ...(values.json !== undefined && { json: values.json }),
    ...(values['fail-on'] !== undefined && { failOn: oneOf('--fail-on', values['fail-on'], GATES) }),
  };
}
