import { CheckpointError } from '../errors';

/** Nesting of an `.npy` header; a structured type within a structured type is three deep. */
const MAX_DEPTH = 32;

export type Literal = string | number | boolean | null | LiteralSequence | LiteralDict;

/** A tuple or list. */
export class LiteralSequence {
  constructor(readonly items: readonly Literal[]) {}
}

export class LiteralDict {
  constructor(readonly entries: ReadonlyMap<string, Literal>) {}
}

/** Reads the literals that NumPy writes in headers: dicts with text keys, tuples, lists, text, integers, True, False, None. */
export function parsePythonLiteral(text: string): Literal {
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.end();
  return value;
}

class Parser {
  private position = 0;

  constructor(private readonly text: string) {}

  value(depth: number): Literal {
    if (depth > MAX_DEPTH) throw this.error(`nested deeper than ${MAX_DEPTH} levels`);
    const token = this.next();
    if (token === '{') return this.dict(depth);
    if (token === '(') return this.sequence(')', depth);
    if (token === '[') return this.sequence(']', depth);
    if (token === 'True') return true;
    if (token === 'False') return false;
    if (token === 'None') return null;
    if (/^['"]/.test(token)) return token.slice(1, -1);
    // Python 2 marked long integers.
    if (/^-?\d{1,20}L?$/.test(token)) return Number.parseInt(token, 10);
    throw this.error(`"${token}" was not expected`);
  }

  end(): void {
    if (this.peek() !== '') throw this.error('something follows the end');
  }

  private dict(depth: number): LiteralDict {
    const entries = new Map<string, Literal>();
    while (this.peek() !== '}') {
      const key = this.value(depth + 1);
      if (typeof key !== 'string' || entries.has(key))
        throw this.error('a key that is no text or given twice');
      if (this.next() !== ':') throw this.error('":" was expected');
      entries.set(key, this.value(depth + 1));
      if (this.peek() === ',') this.next();
      else if (this.peek() !== '}') throw this.error('"}" was expected');
    }
    this.next();
    return new LiteralDict(entries);
  }

  private sequence(close: ')' | ']', depth: number): LiteralSequence {
    const items: Literal[] = [];
    while (this.peek() !== close) {
      items.push(this.value(depth + 1));
      if (this.peek() === ',') this.next();
      else if (this.peek() !== close) throw this.error(`"${close}" was expected`);
    }
    this.next();
    return new LiteralSequence(items);
  }

  private next(): string {
    const token = this.peek();
    this.position += token.length;
    return token;
  }

  /** The next token; empty at the end. */
  private peek(): string {
    while (/\s/.test(this.text.charAt(this.position))) this.position++;
    TOKEN.lastIndex = this.position;
    return TOKEN.exec(this.text)?.[0] ?? this.text.charAt(this.position);
  }

  private error(reason: string): CheckpointError {
    return new CheckpointError('malformed', `NumPy header: ${reason}`);
  }
}

const TOKEN = /'[^'\\\n]*'|"[^"\\\n]*"|-?\d+L?|[A-Za-z]+/y;
