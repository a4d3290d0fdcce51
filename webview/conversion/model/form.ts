/** The form: how ranks are chosen and what is written, as text fields and sliders hold it, and as a conversion needs it. */
import type { ConversionChoices, FormRanks } from '../protocol';

export type RanksKind = FormRanks['kind'];

export interface FormState {
  readonly kind: RanksKind;
  /** One number a kind, so that a look at another kind loses nothing. In the units that the form shows. */
  readonly numbers: Readonly<Record<RanksKind, number>>;
  /** Source of a regular expression; empty for all. */
  readonly layers: string;
  readonly materialize: boolean;
  /** Folder chosen for the files; undefined for beside the checkpoint. */
  readonly out: string | undefined;
}

/**
 * 15 % of the smaller side leaves a square layer at 30 % of its parameters, where sine-low-rank was measured against
 * truncated SVD (the paper's tables have 1 to 20 %).
 */
export const INITIAL_FORM: FormState = {
  kind: 'share',
  numbers: { share: 15, rank: 16, compression: 40, error: 0.3 },
  layers: '',
  materialize: false,
  out: undefined,
};

/** What a kind of number means and where it makes sense. */
export interface NumberRules {
  readonly title: string;
  readonly hint: string;
  /** Stands behind the number. */
  readonly unit: string;
  readonly whole: boolean;
  /** Of what may be typed; the slider may show less. */
  readonly least: number;
  readonly most: number;
  /** Of the slider. */
  readonly from: number;
  readonly to: number;
}

export const RANKS_KINDS: readonly RanksKind[] = ['share', 'rank', 'compression', 'error'];

const RULES: Readonly<Record<RanksKind, NumberRules>> = {
  share: {
    ...{ title: 'Share', hint: 'k is this share of each layer’s smaller side', unit: '% of min(m, n)' },
    ...{ whole: false, least: 0.01, most: 100, from: 1, to: 50 },
  },
  rank: {
    ...{ title: 'One k', hint: 'The same k for every layer', unit: 'columns in U and V' },
    ...{ whole: true, least: 1, most: 1e6, from: 1, to: 256 },
  },
  compression: {
    ...{ title: 'Compression', hint: 'Parameters of the whole model after, of those before', unit: '%' },
    ...{ whole: false, least: 0.01, most: 100, from: 1, to: 100 },
  },
  error: {
    ...{ title: 'Error', hint: 'The smallest k of each layer that is this close', unit: '‖W − Ŵ‖ ÷ ‖W‖' },
    ...{ whole: false, least: 0, most: 1, from: 0.01, to: 0.99 },
  },
};

/** @param mostRank largest k that saves parameters in any layer: the end of the slider. */
export function rulesOf(kind: RanksKind, mostRank = 0): NumberRules {
  const rules = RULES[kind];
  return kind === 'rank' && mostRank > 1 ? { ...rules, to: mostRank } : rules;
}

/** What is wrong with a number; undefined when nothing is. */
export function numberProblem(kind: RanksKind, value: number): string | undefined {
  const { least, most, whole } = RULES[kind];
  if (!Number.isFinite(value)) return 'A number is needed';
  if (whole && !Number.isInteger(value)) return 'A whole number is needed';
  if (value < least || value > most) return `From ${least} to ${most}`;
  return undefined;
}

export type Pattern =
  | { readonly kind: 'pattern'; readonly pattern?: RegExp }
  | { readonly kind: 'invalid'; readonly message: string };

export function layersPattern(source: string): Pattern {
  if (source.trim() === '') return { kind: 'pattern' };
  try {
    return { kind: 'pattern', pattern: new RegExp(source) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: 'invalid', message: message.replace(/^Invalid regular expression: /, '') };
  }
}

export function ranksOf({ kind, numbers }: FormState): FormRanks {
  const value = numbers[kind];
  switch (kind) {
    case 'share':
      return { kind, share: value / 100 };
    case 'rank':
      return { kind, rank: value };
    case 'compression':
      return { kind, rate: value / 100 };
    case 'error':
      return { kind, relativeError: value };
  }
}

/** The conversion the form asks for; undefined while something in it is wrong. */
export function choicesOf(form: FormState): ConversionChoices | undefined {
  if (numberProblem(form.kind, form.numbers[form.kind]) !== undefined) return undefined;
  if (layersPattern(form.layers).kind === 'invalid') return undefined;
  return {
    ranks: ranksOf(form),
    materialize: form.materialize,
    ...(form.layers.trim() !== '' && { layers: form.layers }),
    ...(form.out !== undefined && { out: form.out }),
  };
}

/** A choice in a few words, for the head of a result. */
export function ranksInWords(ranks: FormRanks): string {
  switch (ranks.kind) {
    case 'share':
      return `k = ${Number((ranks.share * 100).toPrecision(4))} % of min(m, n)`;
    case 'rank':
      return `k = ${ranks.rank}`;
    case 'compression':
      return `${Number((ranks.rate * 100).toPrecision(4))} % of the parameters`;
    case 'error':
      return `error ≤ ${ranks.relativeError}`;
  }
}
