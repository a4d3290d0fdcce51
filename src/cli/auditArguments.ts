import type { ParseArgsConfig } from 'node:util';
import type { DeclaredGroups } from '../checkpoint/layers';
import { BACKEND_NAMES } from '../compute';
import { SORT_ORDERS, type SortOrder } from '../engine/report/rows';
import {
  UsageError,
  oneOf,
  parseAlternatives,
  parseFraction,
  parseGroups,
  parseThreads,
  splitFlags,
} from './flags';

export const FORMATS = ['table', 'json', 'csv', 'markdown'] as const;
export type Format = (typeof FORMATS)[number];

export interface AuditArguments {
  readonly inputs: readonly string[];
  readonly format: Format;
  /** File to write the document to; `-` is stdout. */
  readonly json?: string;
  readonly spectra: boolean;
  readonly sha256: boolean;
  readonly sort: SortOrder;
  readonly layers?: RegExp;
  readonly groups: readonly DeclaredGroups[];
  readonly backend?: string;
  readonly threads?: number;
  readonly cache: boolean;
  /** Least mean layer utilization, 0 … 1. */
  readonly failUnder?: number;
}

const AUDIT_OPTIONS = {
  format: { type: 'string' },
  json: { type: 'string' },
  spectra: { type: 'boolean' },
  sha256: { type: 'boolean' },
  sort: { type: 'string' },
  layers: { type: 'string', multiple: true },
  groups: { type: 'string', multiple: true },
  backend: { type: 'string' },
  threads: { type: 'string' },
  'no-cache': { type: 'boolean' },
  'fail-under': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsConfig['options'];

/**
 * What the arguments of `rankscope audit` ask for.
 *
 * @throws UsageError
 */
export function parseAudit(argv: readonly string[]): AuditArguments | 'help' {
  const { values, positionals } = splitFlags('audit', argv, AUDIT_OPTIONS);
  if (values.help) return 'help';
  if (positionals.length === 0) {
    throw new UsageError('no file or folder given: try rankscope audit --help');
  }
  const format = oneOf('--format', values.format ?? 'table', FORMATS);
  if (values.json === '') throw new UsageError('--json needs a file name, or - for stdout');
  if (values.json === '-' && values.format !== undefined && format !== 'json') {
    throw new UsageError(`--json - and --format ${format} both want stdout: give --json a file name`);
  }
  return {
    inputs: positionals,
    format: values.json === '-' ? 'json' : format,
    spectra: values.spectra ?? false,
    sha256: values.sha256 ?? false,
    sort: oneOf('--sort', values.sort ?? 'order', SORT_ORDERS),
    groups: (values.groups ?? []).map(parseGroups),
    cache: values['no-cache'] !== true,
    ...(values.json !== undefined && { json: values.json }),
    ...(values.layers !== undefined && { layers: parseAlternatives('--layers', values.layers) }),
    ...(values.backend !== undefined && {
      backend: oneOf('--backend', values.backend, [...BACKEND_NAMES, 'auto']),
    }),
    ...(values.threads !== undefined && { threads: parseThreads(values.threads) }),
    ...(values['fail-under'] !== undefined && {
      failUnder: parseFraction('--fail-under', values['fail-under']),
    }),
  };
}
