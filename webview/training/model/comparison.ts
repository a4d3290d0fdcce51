/** What came of it: the metric of each variant at equal rank, with what it costs. */
import { counted } from '../../model/numbers';
import { sortedBy } from '../../model/sorting';
import type { RunSummary } from '../protocol';
import { differenceText } from './words';
import { formTitle, type Variant, type VariantStyle } from './variants';

export type Statistic = 'best' | 'last';

export interface ComparisonRow {
  readonly key: string;
  readonly label: string;
  readonly style: VariantStyle;
  /** Over the seeds that are done; while none is, over those that have a value. */
  readonly mean?: number;
  readonly least?: number;
  readonly largest?: number;
  readonly seeds: number;
  /** Of the bar, 0 … 1. */
  readonly share: number;
  readonly parameters?: number;
  readonly trained?: number;
  /** Parameters ÷ those of the same network dense. */
  readonly rate?: number;
}

export interface ComparisonGroup {
  /** Undefined: of no rank, as dense networks. */
  readonly rank?: number;
  readonly rows: readonly ComparisonRow[];
  /** Sine against low-rank at this rank, in words. */
  readonly verdict?: string;
}

export interface Comparison {
  readonly metric?: string;
  readonly higherIsBetter: boolean;
  readonly groups: readonly ComparisonGroup[];
}

/** The metric that the runs are told by: of the first that has one. */
export function metricOf(runs: readonly RunSummary[]): {
  readonly metric?: string;
  readonly higherIsBetter: boolean;
} {
  const told = runs.find(({ status }) => status.metric !== undefined)?.status;
  return {
    higherIsBetter: told?.higherIsBetter ?? true,
    ...(told?.metric !== undefined && { metric: told.metric }),
  };
}

export function comparisonOf(variants: readonly Variant[], statistic: Statistic): Comparison {
  const facts = metricOf(variants.flatMap(({ runs }) => runs));
  const rows = variants.map((variant) => ({ variant, row: rowOf(variant, facts.metric, statistic) }));
  const largest = Math.max(0, ...rows.map(({ row }) => row.largest ?? 0));
  const scaled = rows.map(({ variant, row }) => ({
    ...{ variant, rank: variant.rank },
    row: { ...row, share: largest > 0 ? Math.max(0, (row.mean ?? 0) / largest) : 0 },
  }));
  // Full rank first: it is what the others are measured by.
  const ranks = sortedBy([...new Set(scaled.map(({ rank }) => rank))], (rank) => rank ?? 0, 'ascending');
  const groups = ranks.map((rank): ComparisonGroup => {
    const here = scaled.filter((one) => one.rank === rank);
    const verdict = verdictOf(here, facts);
    return {
      rows: here.map(({ row }) => row),
      ...(rank !== undefined && { rank }),
      ...(verdict !== undefined && { verdict }),
    };
  });
  return { ...facts, groups };
}

function rowOf(
  { key, label, style, runs }: Variant,
  metric: string | undefined,
  statistic: Statistic,
): ComparisonRow {
  // A run that has only begun is no measure of what it will come to.
  const done = runs.filter(({ status }) => status.state === 'done');
  const values = (done.length > 0 ? done : runs).flatMap(({ status }) => {
    const value = statistic === 'best' ? status.best?.value : status.value;
    return status.metric === metric && value !== undefined && Number.isFinite(value) ? [value] : [];
  });
  const parameters = runs.find(({ status }) => status.parameters !== undefined)?.status.parameters;
  return {
    ...{ key, label, style, seeds: values.length, share: 0 },
    ...(values.length > 0 && {
      mean: values.reduce((sum, value) => sum + value, 0) / values.length,
      least: Math.min(...values),
      largest: Math.max(...values),
    }),
    ...(parameters !== undefined && {
      parameters: parameters.total,
      trained: parameters.trained,
      ...(parameters.dense > 0 && { rate: parameters.total / parameters.dense }),
    }),
  };
}

/** Which of the two forms of the same rank is ahead; nothing where there are several of either. */
function verdictOf(
  rows: readonly { readonly variant: Variant; readonly row: ComparisonRow }[],
  { metric, higherIsBetter }: { readonly metric?: string; readonly higherIsBetter: boolean },
): string | undefined {
  for (const [plain, sine] of PAIRS) {
    const [low, lowMore] = rows.filter(({ variant }) => variant.form === plain);
    const [high, highMore] = rows.filter(({ variant }) => variant.form === sine);
    if (lowMore !== undefined || highMore !== undefined) continue;
    const [before, after] = [low?.row.mean, high?.row.mean];
    if (before === undefined || after === undefined) continue;
    const difference = after - before;
    const better = higherIsBetter ? '' : ' (lower is better)';
    const over = Math.min(low?.row.seeds ?? 0, high?.row.seeds ?? 0);
    const seeds = over > 1 ? `, mean of ${counted(over, 'seed')}` : '';
    return `${formTitle(sine)} against ${formTitle(plain)}: ${differenceText(metric, difference)}${better}${seeds}`;
  }
  return undefined;
}

const PAIRS = [
  ['low-rank', 'sine'],
  ['lora', 'sine-lora'],
] as const;
