import type { ByteRange } from './byteRange';
import { EndOfBytes, PickleCursor } from './pickleCursor';
import { PickleMemo } from './pickleMemo';
import { OPERATIONS } from './pickleOperations';
import {
  MAX_NAME_BYTES,
  MAX_TUPLE_ITEMS,
  OTHER,
  type GlobalRef,
  type TextValue,
  type Value,
} from './pickleValues';

/** Values on the stack: a list of some million numbers, written without batches. */
const MAX_STACK = 4_000_000;
/** Texts kept, all together: some hundred megabytes of memory; the largest vocabularies have a million words. */
const MAX_TEXTS = 2_000_000;
const MAX_TEXT_CHARACTERS = 64 * 1024 * 1024;
/** Distinct globals kept; a whole module with its optimizer names a few hundred. */
const MAX_GLOBALS = 10_000;
/** Changed globals and loads within the pickle that are kept; honest pickles have none of the first. */
const MAX_EVENTS = 200;

export interface ScannedGlobal extends GlobalRef {
  readonly offset: number;
  called: boolean;
  count: number;
}

/** Bytes of the pickle that it loads as a file of its own. */
export interface NestedLoad {
  /** What loads them. */
  readonly by: string;
  /** Undefined: made while the pickle is read, so that nobody can tell what they are. */
  readonly bytes: TextValue | undefined;
  readonly offset: number;
}

/** How a scan ended. `cut`: the bytes ended. `limit`: ours, not the pickle's. */
export type ScanEnd =
  | { readonly kind: 'stop' | 'cut'; readonly position: number }
  | { readonly kind: 'opcode' | 'limit'; readonly position: number; readonly reason: string };

/** Dicts whose entries are followed, and entries of each: what changes a module is small. */
const MAX_DICTS = 20_000;
const MAX_DICT_ENTRIES = 64;

/** Functions that load their first argument as a pickle or a torch file. */
const LOADERS: ReadonlySet<string> = new Set([
  'torch.storage._load_from_bytes',
  'pickle.loads',
  '_pickle.loads',
  'cPickle.loads',
  'dill.loads',
  'dill._dill.loads',
  'cloudpickle.loads',
]);

/**
 * A scan of one pickle, opcode by opcode, that never makes anything: it follows names through the stack and the memo,
 * and goes on where Python might. Its time is linear in the opcodes; payloads are stepped over.
 */
export class PickleScan {
  readonly globals = new Map<string, ScannedGlobal>();
  readonly nested: NestedLoad[] = [];
  /** Globals that are changed in place (BUILD, SETITEM, APPEND): modules, classes, functions. */
  readonly changed: { readonly name: string; readonly offset: number }[] = [];
  /** First byte where a global is named that cannot be told. */
  unresolved: number | undefined;
  /** First byte where the stack held less than an opcode takes. */
  underflow: number | undefined;
  /** There were more texts than are kept: a name may be among those that were not. */
  lostTexts = false;
  protocol = 0;
  operations = 0;
  end: ScanEnd | undefined;
  readonly cursor: PickleCursor;
  readonly memo = new PickleMemo<Value>();
  /** Byte of the opcode that is being done. */
  private at: number;
  private readonly stack: Value[] = [];
  private readonly marks: number[] = [];
  /** Attributes that the pickle has given to modules and classes, by full name: naming one gives what was put there. */
  private readonly overrides = new Map<string, Value>();
  private dicts = 0;
  private texts = 0;
  private textCharacters = 0;

  constructor(
    range: ByteRange,
    readonly start: number,
  ) {
    this.cursor = new PickleCursor(range, start);
    this.at = start;
  }

  /** Does up to `operations` opcodes. @returns whether the scan has ended. */
  step(operations: number): boolean {
    const { cursor } = this;
    try {
      for (let i = 0; i < operations && this.end === undefined; i++) {
        if (cursor.remaining <= 0) throw new EndOfBytes();
        this.at = cursor.position;
        const code = cursor.byte();
        const operation = OPERATIONS[code];
        if (operation === undefined)
          this.end = { kind: 'opcode', position: this.at, reason: `no opcode is ${hex(code)}` };
        else {
          this.operations++;
          operation(this);
        }
      }
    } catch (error) {
      if (!(error instanceof EndOfBytes)) throw error;
      this.end = { kind: 'cut', position: this.at };
    }
    return this.end !== undefined;
  }

  stop(): void {
    this.end = { kind: 'stop', position: this.cursor.position };
  }

  push(value: Value): void {
    if (this.stack.length >= MAX_STACK) this.giveUp(`more than ${MAX_STACK} values at once`);
    else this.stack.push(value);
  }

  pop(): Value {
    const floor = this.marks.at(-1) ?? 0;
    if (this.stack.length > floor) return this.stack.pop() ?? OTHER;
    this.underflow ??= this.at;
    return OTHER;
  }

  /** POP takes a mark, where one is on top. */
  discard(): void {
    if (this.marks.at(-1) === this.stack.length) this.marks.pop();
    else this.pop();
  }

  top(): Value | undefined {
    return this.stack.at(-1);
  }

  mark(): void {
    if (this.marks.length >= MAX_STACK) this.giveUp(`more than ${MAX_STACK} marks`);
    else this.marks.push(this.stack.length);
  }

  /** Drops what lies above the last mark. @returns the first values of it. */
  popToMark(): Value[] {
    const mark = this.marks.pop();
    if (mark === undefined) this.underflow ??= this.at;
    const items = this.stack.slice(mark ?? 0, (mark ?? 0) + MAX_TUPLE_ITEMS);
    this.stack.length = Math.min(this.stack.length, mark ?? 0);
    return items;
  }

  remember(key: number | undefined): void {
    const top = this.stack.at(-1);
    const value = top?.kind === 'other' ? undefined : top;
    if (key === undefined) this.memo.putNext(value);
    else if (Number.isSafeInteger(key)) this.memo.put(key, value);
  }

  recall(key: number): void {
    this.push(this.memo.get(key) ?? OTHER);
  }

  /** Steps over a payload of `length` bytes; its text is kept where it may be a name. */
  pushPayload(length: number, encoding: TextValue['encoding']): void {
    const start = this.cursor.position;
    if (length > MAX_NAME_BYTES || length > this.cursor.remaining) {
      this.cursor.skip(length);
      this.pushText(undefined, start, length, encoding);
      return;
    }
    const bytes = this.cursor.text(length);
    const text = encoding === 'utf8' ? Buffer.from(bytes, 'latin1').toString('utf8') : bytes;
    this.pushText(text, start, length, encoding);
  }

  pushText(given: string | undefined, start: number, length: number, encoding: TextValue['encoding']): void {
    this.textCharacters += given?.length ?? 0;
    if (++this.texts > MAX_TEXTS || this.textCharacters > MAX_TEXT_CHARACTERS) {
      this.lostTexts = true;
      this.push(OTHER);
    } else this.push({ kind: 'text', text: given, start, length, encoding });
  }

  /** A global named by two values of the stack, of which the pickle may have made either. */
  pushGlobalOf(module: Value, name: Value): void {
    if (
      module.kind === 'text' &&
      module.text !== undefined &&
      name.kind === 'text' &&
      name.text !== undefined
    ) {
      this.pushGlobal(module.text, name.text);
      return;
    }
    this.unresolved ??= this.at;
    this.push(OTHER);
  }

  pushGlobal(module: string, name: string): void {
    const global = this.nameGlobal(module, name);
    this.push(this.overrides.get(`${module}.${name}`) ?? global);
  }

  pushDict(): void {
    this.push(++this.dicts > MAX_DICTS ? OTHER : { kind: 'dict', entries: new Map() });
  }

  setItem(target: Value | undefined, key: Value | undefined, item: Value | undefined): void {
    this.change(target);
    if (target?.kind !== 'dict' || key?.kind !== 'text' || key.text === undefined || item === undefined)
      return;
    if (target.entries.size < MAX_DICT_ENTRIES) target.entries.set(key.text, item);
  }

  /** BUILD: attributes of an object, or, where the target is no object but a module or a class, of that. */
  build(target: Value | undefined, state: Value): void {
    this.change(target);
    if (target?.kind !== 'global') return;
    const parts = state.kind === 'tuple' ? state.items : [state];
    for (const part of parts) {
      if (part.kind !== 'dict') continue;
      for (const [key, value] of part.entries) {
        if (this.overrides.size < MAX_EVENTS)
          this.overrides.set(`${target.module}.${target.name}.${key}`, value);
      }
    }
  }

  nameGlobal(module: string, name: string): ScannedGlobal {
    const key = `${module}\n${name}`;
    const known = this.globals.get(key);
    const global = known ?? { kind: 'global', module, name, offset: this.at, called: false, count: 0 };
    global.count++;
    if (known === undefined) {
      if (this.globals.size >= MAX_GLOBALS) this.giveUp(`more than ${MAX_GLOBALS} globals`);
      else this.globals.set(key, global);
    }
    return global;
  }

  /** A call of `callee`. @returns what comes of it, where that can be told. */
  call(callee: Value, args: Value): Value {
    if (callee.kind !== 'global') return OTHER;
    const global = this.globals.get(`${callee.module}\n${callee.name}`);
    if (global !== undefined) global.called = true;
    const fullName = `${callee.module}.${callee.name}`;
    const [first] = args.kind === 'tuple' ? args.items : [];
    const bytes = first?.kind === 'text' ? first : undefined;
    if (fullName === '_codecs.encode') return bytes ?? OTHER;
    if (LOADERS.has(fullName) && this.nested.length < MAX_EVENTS)
      this.nested.push({ by: fullName, bytes, offset: this.at });
    return OTHER;
  }

  /** `target` is changed in place. */
  change(target: Value | undefined): void {
    if (target?.kind !== 'global' || this.changed.length >= MAX_EVENTS) return;
    this.changed.push({ name: `${target.module}.${target.name}`, offset: this.at });
  }

  private giveUp(reason: string): void {
    this.end = { kind: 'limit', position: this.at, reason };
  }
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`;
}
