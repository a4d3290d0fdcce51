/** Runs that differ in nothing but their seed, taken together: what is compared is variants, seeds say how sure it is. */
import { printable } from '../../model/names';
import { compare } from '../../model/sorting';
import { timeText } from './words';
import type { RunSummary } from '../protocol';

/** How a variant's lines look: a colour of the theme's series, and a pattern of dashes. */
export interface VariantStyle {
  readonly series: number;
  readonly dash: number;
}

export interface Variant {
  readonly key: string;
  /** `sine, k = 5`. */
  readonly label: string;
  readonly form: RunSummary['record']['form'];
  readonly rank?: number;
  readonly style: VariantStyle;
  /** One a seed, by seed. */
  readonly runs: readonly RunSummary[];
}

/** The order in which forms are told, and the series each has wherever forms are compared. */
const FORMS = ['dense', 'low-rank', 'sine', 'lora', 'sine-lora'] as const;
const FORM_SERIES: Readonly<Record<string, number>> = {
  sine: 0,
  'low-rank': 1,
  dense: 2,
  'sine-lora': 3,
  lora: 4,
};
const OTHER_SERIES = 5;
/** Colours of the theme (`theme.ts`). */
const SERIES = 6;

/** Patterns of dashes: the first is a whole line. */
export const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [1, 3]];

/** What forms are called; those of the labels of runs. */
const FORM_TITLES: Readonly<Record<string, string>> = {
  sine: 'sine-low-rank',
  lora: 'LoRA',
  'sine-lora': 'sine-LoRA',
};

export function formTitle(form: string): string {
  return FORM_TITLES[form] ?? printable(form);
}

/** The names that choices have for people. */
const CHOICE_TITLES: Readonly<Record<string, string>> = {
  rank: 'k',
  omega: 'ω',
  gain: 'g',
  learningRate: 'lr',
};

/** In the order of forms, ranks, and all else that was chosen. @param runs those on show */
export function variantsOf(runs: readonly RunSummary[]): readonly Variant[] {
  const byKey = new Map<string, RunSummary[]>();
  for (const run of runs) {
    const key = keyOf(run);
    const same = byKey.get(key);
    if (same === undefined) byKey.set(key, [run]);
    else same.push(run);
  }
  const several = new Set(runs.map(({ record }) => record.group)).size > 1;
  const found = [...byKey].flatMap(([key, same]) => {
    const [first] = same;
    return first === undefined ? [] : [{ key, first, same }];
  });
  found.sort((a, b) => order(a.first, b.first));
  const style = stylist(found.map(({ first }) => first));
  return found.map(({ key, first, same }) => {
    const rank = rankOf(first);
    return {
      ...{ key, label: labelOf(first, several), form: first.record.form, style: style(first) },
      runs: [...same].sort((a, b) => a.record.seed - b.record.seed),
      ...(rank !== undefined && { rank }),
    };
  });
}

/** Runs that were started apart are told apart: the recipe may have been another. */
function keyOf({ record, folder }: RunSummary): string {
  const choices = Object.entries(record.choices).filter(([axis]) => axis !== 'seed');
  if (choices.length === 0 && !('seed' in record.choices)) return folder;
  choices.sort(([a], [b]) => compare(a, b));
  return JSON.stringify([record.group, choices]);
}

/** The rank that its layers have; none of a dense network. */
export function rankOf({ record }: RunSummary): number | undefined {
  if (record.form === 'dense') return undefined;
  const { rank } = record.choices;
  return typeof rank === 'number' ? rank : record.rank;
}

function labelOf({ record }: RunSummary, several: boolean): string {
  const { form, ...rest } = record.choices;
  const parts = Object.entries(rest).flatMap(([axis, value]) => {
    // A rank or an ω that a form has no use for tells nothing.
    const isIdle = (axis === 'rank' && record.form === 'dense') || (axis === 'omega' && !isSine(record.form));
    return axis === 'seed' || isIdle
      ? []
      : [`${CHOICE_TITLES[axis] ?? printable(axis)} = ${printable(String(value))}`];
  });
  const words = form === undefined ? parts : [formTitle(String(form)), ...parts];
  const label = words.length === 0 ? printable(record.label) : words.join(', ');
  const when = several ? timeText(record.createdAt) : undefined;
  return when === undefined ? label : `${label} · ${when}`;
}

function isSine(form: string): boolean {
  return form === 'sine' || form === 'sine-lora';
}

function order(a: RunSummary, b: RunSummary): number {
  const place = ({ record }: RunSummary): number => {
    const at = FORMS.findIndex((form) => form === record.form);
    return at < 0 ? FORMS.length : at;
  };
  return (
    place(a) - place(b) ||
    (rankOf(a) ?? 0) - (rankOf(b) ?? 0) ||
    compare(JSON.stringify(a.record.choices), JSON.stringify(b.record.choices)) ||
    compare(a.record.createdAt, b.record.createdAt)
  );
}

/** Forms that are compared have a colour each, and dashes within it; otherwise every variant has a colour. */
function stylist(firsts: readonly RunSummary[]): (run: RunSummary) => VariantStyle {
  const byForm = new Set(firsts.map(({ record }) => record.form)).size > 1;
  const used = new Map<number, number>();
  let next = 0;
  return ({ record }) => {
    const series = byForm ? (FORM_SERIES[record.form] ?? OTHER_SERIES) : next++ % SERIES;
    const dash = used.get(series) ?? 0;
    used.set(series, dash + 1);
    return { series, dash: dash % DASHES.length };
  };
}
