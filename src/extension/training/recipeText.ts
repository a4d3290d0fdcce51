/**
 * A look at a recipe as it stands in the editor: with comments, half typed, or wrong. What can be understood is, and
 * nothing throws; whether a recipe is right is seen when it is read (`network/readRecipe.ts`).
 */
import type { RecipeLook } from '../../../webview/training/protocol';

/** A recipe has about a thousand bytes: a longer text is something else, and is not looked at. */
const MAX_LENGTH = 1 << 20;
/** No recipe is nested deeper; a text that is made to be does not deserve an answer. */
const MAX_DEPTH = 64;

/** Networks that run as they are; what is built here runs once it has weights. */
const RUNNABLE = ['onnx', 'tfjs', 'mlp', 'python'];

const COMPARED = ['dense', 'low-rank', 'sine'] as const;
/** An adapted network is compared with adapters of the other kind, which have as many parameters. */
const COMPARED_ADAPTERS = ['lora', 'sine-lora'] as const;

export function lookAtRecipe(text: string): RecipeLook {
  const recipe = fields(lenientJson(text));
  const network = fields(recipe.network);
  const training = fields(recipe.training);
  const forms = list(network.forms).map(fields);
  const ranks = [...forms.map(({ rank }) => rank), ...list(fields(training.sweep).rank)];
  const rank = ranks.find(isRank);
  const omega = forms.map((form) => form.omega).find(isNumber);
  const adapted = forms.some(({ kind }) => COMPARED_ADAPTERS.some((adapter) => adapter === kind));
  const { learningRate } = fields(training.optimizer);
  const { seed } = training;
  const seeds = list(fields(training.sweep).seed).filter(isNumber);
  return {
    trains: 'training' in recipe,
    measures: measures(network, 'training' in recipe),
    script: 'script' in training,
    forms: adapted ? COMPARED_ADAPTERS : COMPARED,
    seeds: seeds.length > 0 ? seeds : isNumber(seed) ? [seed] : [],
    ...(rank !== undefined && { rank }),
    ...(omega !== undefined && { omega }),
    ...(isNumber(learningRate) && { learningRate }),
  };
}

/**
 * A half-typed recipe may be of any network: it is offered, and told what is missing when it is tried. One that trains may
 * well name no network, as a script brings its own.
 */
function measures({ kind, checkpoint }: Fields, trains: boolean): boolean {
  if (typeof kind !== 'string') return !trains;
  return RUNNABLE.includes(kind) || typeof checkpoint === 'string';
}

type Fields = Readonly<Record<string, unknown>>;

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isRank(value: unknown): value is number {
  return isNumber(value) && Number.isInteger(value) && value >= 1;
}

/**
 * JSON with comments and commas too many, read as far as it goes: what is not closed is closed where the text ends.
 * Undefined where there is nothing to understand.
 */
export function lenientJson(text: string): unknown {
  if (text.length > MAX_LENGTH) return undefined;
  return new LenientReader(text).value(0);
}

/** Spaces, commas and comments: between values all mean the same here. */
const BETWEEN = /(?:[\s,\ufeff]|\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$))*/y;
const WORD = /[^\s,:{}[\]"/]+/y;
const STRING = /"(?:[^"\\\n]|\\.)*/y;

class LenientReader {
  private at = 0;

  constructor(private readonly text: string) {}

  value(depth: number): unknown {
    this.match(BETWEEN);
    if (depth > MAX_DEPTH) {
      this.at = this.text.length;
      return undefined;
    }
    switch (this.text[this.at]) {
      case '{':
        return this.object(depth);
      case '[':
        return this.array(depth);
      case '"':
        return this.string();
      default:
        return wordValue(this.match(WORD));
    }
  }

  private object(depth: number): Fields {
    this.at++;
    const entries: [string, unknown][] = [];
    while (this.goesOn('}')) {
      const key = this.text[this.at] === '"' ? this.string() : this.match(WORD);
      this.match(BETWEEN);
      if (this.text[this.at] === ':') {
        this.at++;
        const value = this.value(depth + 1);
        if (key !== '') entries.push([key, value]);
      } else if (key === '') this.at++;
    }
    this.at++;
    return Object.fromEntries(entries);
  }

  private array(depth: number): readonly unknown[] {
    this.at++;
    const items: unknown[] = [];
    while (this.goesOn(']')) {
      const before = this.at;
      items.push(this.value(depth + 1));
      // Nothing that begins a value: passed over, or this would never end.
      if (this.at === before) this.at++;
    }
    this.at++;
    return items;
  }

  private string(): string {
    const raw = this.match(STRING);
    if (this.text[this.at] === '"') this.at++;
    try {
      const parsed: unknown = JSON.parse(`${raw}"`);
      return typeof parsed === 'string' ? parsed : '';
    } catch {
      return raw.slice(1);
    }
  }

  /** Whether there is more before the closing character. */
  private goesOn(closing: string): boolean {
    this.match(BETWEEN);
    return this.at < this.text.length && this.text[this.at] !== closing;
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const [found = ''] = pattern.exec(this.text) ?? [];
    this.at += found.length;
    return found;
  }
}

function wordValue(word: string): unknown {
  if (word === 'true' || word === 'false') return word === 'true';
  if (word === 'null') return null;
  const number = Number(word);
  return word === '' || Number.isNaN(number) ? undefined : number;
}
