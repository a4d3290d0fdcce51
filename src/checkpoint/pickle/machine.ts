import { CheckpointError } from '../errors';
import { CONSTRUCTORS, isInert } from './constructors';
import { OPCODES } from './opcodes';
import type { PickleSource } from './source';
import { BytesValue, GlobalValue, ObjectValue, type PickleValue, TupleValue } from './values';

/** A pickle of a hundred thousand tensors takes about three million opcodes; ten million take about a second. */
const MAX_OPCODES = 10_000_000;
/** Containers and objects, each up to some 500 bytes of memory; a tensor takes about ten, so fifty thousand tensors fit. */
const MAX_OBJECTS = 500_000;
/** One entry an object that may be referred to again; honest memos stay below the objects and strings of the file. */
const MAX_MEMO = 2_000_000;
/** Python's own pickler nests about a thousand deep before it gives up. */
const MAX_MARKS = 10_000;
/** Python writes containers a thousand items at a time, so honest stacks are short; tuples and lists of text are longer. */
const MAX_STACK = 2_000_000;
/** Text kept in memory: keys, names, settings. Arrays kept as text are longer than LONG_TEXT_BYTES and stay in the file. */
const MAX_TEXT_BYTES = 64 * 1024 * 1024;
/** Text from this length on is left in the file: no key or name is as long. */
const LONG_TEXT_BYTES = 64 * 1024;
/** Names reported for globals that were not followed. */
const MAX_NAMES = 1000;

/** What a persistent id (a reference to something kept outside the pickle) stands for. */
export type PersistentLoad = (id: PickleValue) => PickleValue;

export interface Unpickled {
  readonly value: PickleValue;
  /** Names of the classes and functions that are not on the allow-list, in order of appearance. */
  readonly notFollowed: readonly string[];
}

/**
 * Runs one pickle from the source's position to its STOP, as data: classes and functions are looked up in our own
 * allow-list of inert constructors, all others become `ObjectValue`s. The source is left just after the STOP.
 *
 * @throws CheckpointError `malformed` when the pickle breaks its format, `unsupported` when it exceeds a bound above.
 */
export function unpickle(source: PickleSource, persistentLoad?: PersistentLoad): Unpickled {
  return new PickleMachine(source, persistentLoad).run();
}

/** The stack machine of the pickle language, protocols 0 to 5. */
export class PickleMachine {
  private readonly stack: PickleValue[] = [];
  /** Heights of the stack at the marks that are open. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private readonly globals = new Map<string, GlobalValue>();
  private readonly notFollowed = new Set<string>();
  /** Where each text kept in memory stands in the file: an array may turn out to be kept as that text. */
  private readonly texts = new Map<string, BytesValue>();
  private objects = 0;
  private textBytes = 0;

  constructor(
    readonly source: PickleSource,
    private readonly persistentLoad: PersistentLoad | undefined,
  ) {}

  run(): Unpickled {
    for (let opcodes = 0; ; opcodes++) {
      if (opcodes >= MAX_OPCODES) throw this.beyond(`${MAX_OPCODES} opcodes`);
      const code = this.source.byte();
      if (code === STOP) break;
      const operation = OPCODES[code];
      if (operation === undefined) {
        this.source.position--;
        throw this.source.error(`0x${code.toString(16).padStart(2, '0')} is no opcode`);
      }
      operation(this);
    }
    return { value: this.pop(), notFollowed: [...this.notFollowed] };
  }

  push(value: PickleValue): void {
    if (this.stack.length >= MAX_STACK) throw this.beyond(`${MAX_STACK} values on the stack`);
    this.stack.push(value);
  }

  pop(): PickleValue {
    const value = this.stack.length > this.floor() ? this.stack.pop() : undefined;
    if (value === undefined) throw this.source.error('takes a value that is not there');
    return value;
  }

  top(): PickleValue {
    const value = this.stack.length > this.floor() ? this.stack.at(-1) : undefined;
    if (value === undefined) throw this.source.error('looks at a value that is not there');
    return value;
  }

  mark(): void {
    if (this.marks.length >= MAX_MARKS) throw this.beyond(`${MAX_MARKS} open marks`);
    this.marks.push(this.stack.length);
  }

  /** Everything above the last mark, which is closed. */
  popToMark(): PickleValue[] {
    const height = this.marks.pop();
    if (height === undefined) throw this.source.error('closes a mark that is not there');
    return this.stack.splice(height);
  }

  /** Drops the top value, or the last mark when nothing lies above it. */
  discard(): void {
    if (this.stack.length > this.floor()) this.stack.pop();
    else if (this.marks.pop() === undefined) throw this.source.error('drops a value that is not there');
  }

  remember(index: number): void {
    if (this.memo.size >= MAX_MEMO) throw this.beyond(`${MAX_MEMO} remembered values`);
    this.memo.set(index, this.top());
  }

  rememberNext(): void {
    this.remember(this.memo.size);
  }

  recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.source.error(`recalls value ${index}, which was never remembered`);
    this.push(value);
  }

  /** Accounts for containers made and items copied, so that a small file cannot ask for endless memory or work. */
  charge(objects: number): void {
    this.objects += objects;
    if (this.objects > MAX_OBJECTS) throw this.beyond(`${MAX_OBJECTS} objects`);
  }

  /** Pushes the next `length` bytes as text; very long text stays in the file. */
  pushText(length: number, encoding: 'utf8' | 'latin1'): void {
    const place = new BytesValue(encoding === 'utf8' ? 'utf8' : 'raw', this.source.position, length);
    if (length >= LONG_TEXT_BYTES) {
      this.charge(1);
      this.source.skip(length);
      this.push(place);
      return;
    }
    this.chargeText(length);
    const text = this.source.text(length, encoding);
    if (!this.texts.has(text)) this.texts.set(text, place);
    this.push(text);
  }

  /** Pushes text that stood on a line of its own. */
  pushLine(text: string): void {
    this.chargeText(text.length);
    this.push(text);
  }

  /** Pushes the next `length` bytes as bytes, left where they are. */
  pushBytes(length: number): void {
    this.charge(1);
    this.push(new BytesValue('raw', this.source.position, length));
    this.source.skip(length);
  }

  /** Where text that is in memory stands in the file, for text whose characters stand for bytes. */
  placeOfText(text: string): BytesValue | undefined {
    return this.texts.get(text);
  }

  global(module: PickleValue, name: PickleValue): GlobalValue {
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw this.source.error('the name of a class or function is not text');
    }
    const key = `${module}\n${name}`;
    const known = this.globals.get(key);
    if (known !== undefined) return known;
    this.charge(1);
    this.chargeText(key.length);
    const value = new GlobalValue(module, name);
    this.globals.set(key, value);
    if (!isInert(value.fullName) && this.notFollowed.size < MAX_NAMES) this.notFollowed.add(value.fullName);
    return value;
  }

  /** What `type(*args)` stands for: a constructor of the allow-list, or an inert placeholder. */
  construct(type: PickleValue, args: PickleValue): PickleValue {
    this.charge(2);
    if (type instanceof GlobalValue && args instanceof TupleValue) {
      const made = CONSTRUCTORS.get(type.fullName)?.(args.items, this);
      if (made !== undefined) return made;
    }
    return new ObjectValue(type, args);
  }

  persistent(id: PickleValue): PickleValue {
    if (this.persistentLoad === undefined) throw this.source.error('refers to data outside the pickle');
    try {
      return this.persistentLoad(id);
    } catch (error) {
      if (error instanceof CheckpointError) throw error.at({ offset: this.source.position });
      throw error;
    }
  }

  private chargeText(bytes: number): void {
    this.textBytes += bytes;
    if (this.textBytes > MAX_TEXT_BYTES) throw this.beyond(`${MAX_TEXT_BYTES} bytes of text`);
  }

  private floor(): number {
    return this.marks.at(-1) ?? 0;
  }

  private beyond(bound: string): CheckpointError {
    return new CheckpointError('unsupported', `pickle: more than ${bound}`, { offset: this.source.position });
  }
}

const STOP = 0x2e;
