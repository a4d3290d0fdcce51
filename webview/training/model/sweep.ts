/** The form of a new comparison: what was typed, what is wrong with it, and the sweep that it means. */
import { counted } from '../../model/numbers';
import type { RecipeLook, SweepRecipe } from '../protocol';

export type SweepFormKind = NonNullable<SweepRecipe['form']>[number];

export const FORM_KINDS: readonly SweepFormKind[] = ['dense', 'low-rank', 'sine', 'lora', 'sine-lora'];

export const LIST_FIELDS = ['rank', 'omega', 'seed', 'learningRate'] as const;
export type ListField = (typeof LIST_FIELDS)[number];

/** Lists as they were typed: `1, 2, 5`, `1-3`. Empty: as the recipe has it. */
export interface SweepForm extends Readonly<Record<ListField, string>> {
  readonly forms: readonly SweepFormKind[];
}

export interface FieldRules {
  readonly title: string;
  readonly placeholder: string;
  readonly whole: boolean;
  readonly least: number;
  readonly most: number;
}

export const FIELD_RULES: Readonly<Record<ListField, FieldRules>> = {
  rank: { title: 'Ranks', placeholder: '1, 2, 5', whole: true, least: 1, most: 65_536 },
  omega: { title: 'ω', placeholder: 'as in the recipe', whole: false, least: 1e-6, most: 1e6 },
  seed: { title: 'Seeds', placeholder: '1-3', whole: true, least: 0, most: 2 ** 31 - 1 },
  learningRate: {
    title: 'Learning rates',
    placeholder: 'as in the recipe',
    whole: false,
    least: 1e-12,
    most: 1e3,
  },
};

/** More values of one kind than anybody compares. */
const MAX_VALUES = 64;
/** More runs at once are a slip of the hand. */
export const MAX_RUNS = 500;

/** What the form says before anybody typed: the recipe's own comparison. */
export function formFor(look: RecipeLook | undefined): SweepForm {
  return {
    forms: look?.forms ?? ['dense', 'low-rank', 'sine'],
    rank: look?.rank === undefined ? '' : String(look.rank),
    omega: '',
    seed: look === undefined || look.seeds.length === 0 ? '' : look.seeds.join(', '),
    learningRate: '',
  };
}

export type List =
  | { readonly kind: 'values'; readonly values: readonly number[] }
  | { readonly kind: 'wrong'; readonly problem: string };

/** `1, 2, 5`, `1 2 5`, `1-3`. Values that come twice count once. */
export function parseList(text: string, { whole, least, most }: FieldRules): List {
  const values: number[] = [];
  for (const part of text.split(/[\s,;]+/).filter((word) => word !== '')) {
    const found = parsePart(part, whole);
    if (found === undefined) return wrong(`“${part.slice(0, 20)}” is no ${whole ? 'whole ' : ''}number`);
    const outside = found.find((value) => value < least || value > most);
    if (outside !== undefined) return wrong(`${outside} is not between ${least} and ${most}`);
    values.push(...found);
    if (values.length > MAX_VALUES) return wrong(`more than ${counted(MAX_VALUES, 'value')}`);
  }
  return { kind: 'values', values: [...new Set(values)] };
}

function wrong(problem: string): List {
  return { kind: 'wrong', problem };
}

/** As people write numbers; `Number` takes more. */
const DECIMAL = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i;

function parsePart(part: string, whole: boolean): readonly number[] | undefined {
  const [, from, to] = /^(\d+)(?:-|–|…|\.{2,3})(\d+)$/.exec(part) ?? [];
  if (whole && from !== undefined && to !== undefined) {
    const [first, last] = [Number(from), Number(to)];
    if (last < first) return undefined;
    return Array.from({ length: Math.min(last - first + 1, MAX_VALUES + 1) }, (_, i) => first + i);
  }
  const value = Number(part);
  if (!DECIMAL.test(part) || !Number.isFinite(value) || (whole && !Number.isInteger(value))) return undefined;
  return [value];
}

export interface ReadForm {
  /** Undefined while something is wrong. */
  readonly sweep?: SweepRecipe;
  readonly problems: Readonly<Partial<Record<ListField | 'forms', string>>>;
}

export function readForm(form: SweepForm): ReadForm {
  const problems: Partial<Record<ListField | 'forms', string>> = {};
  const values: Partial<Record<ListField, readonly number[]>> = {};
  for (const field of LIST_FIELDS) {
    const list = parseList(form[field], FIELD_RULES[field]);
    if (list.kind === 'wrong') problems[field] = list.problem;
    else if (list.values.length > 0) values[field] = list.values;
  }
  const factored = form.forms.some((kind) => kind !== 'dense');
  if (factored && form.rank.trim() === '') problems.rank = 'Forms of low rank need a rank';
  if (form.forms.length === 0 && Object.keys(values).length === 0)
    problems.forms = 'Nothing would be compared';
  if (Object.keys(problems).length > 0) return { problems };
  return { problems, sweep: { ...(form.forms.length > 0 && { form: form.forms }), ...values } };
}
