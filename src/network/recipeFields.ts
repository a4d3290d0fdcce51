import { CheckpointError, printable } from '../checkpoint/errors';
import { inARow, suggestion } from '../checkpoint/wording';

export interface NumberLimits {
  readonly min?: number;
  /** The limit itself is not allowed. */
  readonly above?: number;
  readonly max?: number;
  readonly isWhole?: boolean;
}

/**
 * The fields of one object of a recipe, taken one by one; what was not asked for in the end is an error.
 * All methods throw CheckpointError `malformed` with one line that names the file and the field.
 */
export class RecipeFields {
  private readonly known = new Set<string>();
  private readonly value: Readonly<Record<string, unknown>>;

  /** @param place of the object in the recipe, `data.validation`; empty for the recipe itself */
  constructor(
    value: unknown,
    readonly place: string,
    readonly file: string,
  ) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.error(place, `must be an object { … }, not ${kindOf(value)}`);
    // A plain object of JSON.parse.
    this.value = value as Readonly<Record<string, unknown>>;
  }

  has(name: string): boolean {
    this.known.add(name);
    return Object.hasOwn(this.value, name);
  }

  raw(name: string): unknown {
    return this.has(name) ? this.value[name] : undefined;
  }

  object(name: string): RecipeFields | undefined {
    const value = this.raw(name);
    return value === undefined ? undefined : new RecipeFields(value, this.nameOf(name), this.file);
  }

  requiredObject(name: string, what: string): RecipeFields {
    return this.object(name) ?? this.missing(name, what);
  }

  /** A list of objects. */
  objects(name: string, longest: number): readonly RecipeFields[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length > longest)
      throw this.fieldError(name, `must be a list of at most ${longest} objects`, value);
    return value.map((item, i) => new RecipeFields(item, `${this.nameOf(name)}[${i}]`, this.file));
  }

  /** A list of texts. */
  texts(name: string, longest: number): readonly string[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const items: readonly unknown[] = Array.isArray(value) ? value : [undefined];
    const isText = (item: unknown): item is string => typeof item === 'string' && !item.includes('\0');
    if (items.length > longest || !items.every(isText))
      throw this.fieldError(name, `must be a list of at most ${longest} texts in quotes`, value);
    return items;
  }

  flag(name: string): boolean | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.fieldError(name, 'must be true or false', value);
  }

  /** @throws unless it is a regular expression */
  requirePattern(name: string, source: string): void {
    try {
      new RegExp(source);
    } catch {
      throw this.fieldError(name, 'must be a regular expression', source);
    }
  }

  text(name: string): string | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'string' || value === '')
      throw this.fieldError(name, 'must be a text in quotes', value);
    if (value.includes('\0')) throw this.fieldError(name, 'has a character that no name has', value);
    return value;
  }

  requiredText(name: string, what: string): string {
    return this.text(name) ?? this.missing(name, what);
  }

  choice<const T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const found = allowed.find((option) => option === value);
    if (found !== undefined) return found;
    const hint = typeof value === 'string' ? suggestion(value, allowed) : '';
    throw this.fieldError(name, `must be ${alternatives(allowed)}`, value, hint);
  }

  number(name: string, limits: NumberLimits = {}): number | undefined {
    const value = this.raw(name);
    return value === undefined ? undefined : this.numberIn(this.nameOf(name), value, limits);
  }

  /** A number, or a list of them with at least one. */
  numbers(
    name: string,
    limits: NumberLimits & { readonly longest: number },
  ): number | readonly number[] | undefined {
    const value = this.raw(name);
    if (!Array.isArray(value)) return this.number(name, limits);
    if (value.length === 0 || value.length > limits.longest)
      throw this.fieldError(name, `must be a number, or a list of 1 to ${limits.longest}`, value);
    return value.map((item, i) => this.numberIn(`${this.nameOf(name)}[${i}]`, item, limits));
  }

  /** @throws for fields that nothing asked for */
  done(): void {
    const known = [...this.known];
    const unknown = Object.keys(this.value).find((name) => !this.known.has(name));
    if (unknown === undefined) return;
    throw this.error(
      this.nameOf(unknown),
      `is no field of a recipe${suggestion(unknown, known)}: ${this.place === '' ? 'it' : this.place} has ${inARow(known)}`,
    );
  }

  names(): readonly string[] {
    for (const name of Object.keys(this.value)) this.known.add(name);
    return Object.keys(this.value);
  }

  /** Throws: a field that is not there. */
  missing(name: string, what: string): never {
    throw this.error(this.nameOf(name), `is missing: ${what}`);
  }

  /** An error about a field that is there. */
  fieldError(name: string, reason: string, value: unknown, hint = ''): CheckpointError {
    return this.error(this.nameOf(name), `${reason}, not ${shown(value)}${hint}`);
  }

  error(place: string, reason: string): CheckpointError {
    return new CheckpointError('malformed', `${place === '' ? 'the recipe' : printable(place)} ${reason}`, {
      file: this.file,
    });
  }

  nameOf(name: string): string {
    return this.place === '' ? name : `${this.place}.${name}`;
  }

  private numberIn(place: string, value: unknown, limits: NumberLimits): number {
    const { min = -Infinity, above = -Infinity, max = Infinity, isWhole = false } = limits;
    const isRight =
      typeof value === 'number' &&
      Number.isFinite(value) &&
      value >= min &&
      value > above &&
      value <= max &&
      (!isWhole || Number.isSafeInteger(value));
    if (isRight) return value;
    throw this.error(place, `must be ${rangeText(limits)}, not ${shown(value)}`);
  }
}

/** `a, b or c`. */
function alternatives(names: readonly string[]): string {
  return inARow(names.map((name) => `"${name}"`)).replace(/ and (?=[^,]*$)/, ' or ');
}

function rangeText({ min, above, max, isWhole = false }: NumberLimits): string {
  const what = isWhole ? 'a whole number' : 'a number';
  const limits = [
    ...(min === undefined ? [] : [`from ${min}`]),
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(max === undefined ? [] : [`up to ${max}`]),
  ];
  return [what, ...limits].join(' ');
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : shown(value);
}

/** Longest value repeated in a message. */
const MAX_SHOWN = 60;

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** `{ [name]: value }`, or nothing when there is no value. */
export function optional<K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> {
  // One field, whose name and type are those asked for.
  return value === undefined ? {} : ({ [name]: value } as Record<K, V>);
}
