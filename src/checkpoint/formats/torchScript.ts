/** TorchScript archives beside their pickle: constants, and what the text of the code says. The code is never run. */
import { type ModuleHint, type Tensor, type UnreadableTensor, elementCount } from '../checkpoint';
import { isFloating } from '../dtype';
import type { ZipArchive } from '../zip';

/** Text looked at; the code of the largest models is some megabytes. What is beyond tells nothing. */
const MAX_CODE_BYTES = 16 * 1024 * 1024;

const LIST = String.raw`\[[\d, ]*\]`;
/** stride, padding, dilation, whether transposed, output padding, groups, as traced code writes them. */
const TRACED = String.raw`${LIST}, ${LIST}, ${LIST}, (True|False), ${LIST}, (\d+),`;
const TRACED_CONVOLUTION = new RegExp(String.raw`torch\._convolution\(\w+, \w+, \w+, ${TRACED}`);
const SCRIPTED_GROUPS = /^ {2}groups : Final\[int\] = (\d+)$/m;

/** Longest text of one call that is looked at. */
const MAX_CALL_CHARACTERS = 1024;
/** Characters of calls over a whole archive: calls within calls are looked at once for each. */
const MAX_CALLS_CHARACTERS = 32 * 1024 * 1024;
const CALL =
  /\btorch\.(linear|matmul|addmm|embedding|conv[123]d|conv_transpose[123]d|_convolution|lstm_cell|gru_cell)\(/g;

/** What a call's arguments are, by their places. */
interface Arguments {
  readonly weights: readonly number[];
  readonly biases: readonly number[];
  readonly hint: (given: readonly string[]) => ModuleHint;
}

const linear = (order: 'out-in' | 'in-out') => (): ModuleHint => ({ type: 'Linear', order });
const convolution =
  (type: string, groups: number) =>
  (given: readonly string[]): ModuleHint => {
    const count = Number(given[groups]);
    return { type, order: 'out-in', ...(Number.isInteger(count) && { groups: count }) };
  };

function argumentsOf(name: string): Arguments {
  switch (name) {
    case 'linear':
      return { weights: [1], biases: [2], hint: linear('out-in') };
    case 'matmul':
      return { weights: [1], biases: [], hint: linear('in-out') };
    case 'addmm':
      return { weights: [2], biases: [0], hint: linear('in-out') };
    case 'embedding':
      return { weights: [0], biases: [], hint: () => ({ type: 'Embedding', order: 'out-in' }) };
    case 'lstm_cell':
    case 'gru_cell': {
      const isLstm = name === 'lstm_cell';
      const gates = isLstm ? ['i', 'f', 'g', 'o'] : ['r', 'z', 'n'];
      const hint = (): ModuleHint => ({ type: isLstm ? 'LSTM' : 'GRU', order: 'out-in', gates });
      return { weights: [2, 3], biases: [4, 5], hint };
    }
    case '_convolution': {
      const hint = (given: readonly string[]): ModuleHint =>
        convolution(given[6] === 'True' ? 'ConvTranspose' : 'Conv', 8)(given);
      return { weights: [1], biases: [2], hint };
    }
    default: {
      const type = name.startsWith('conv_t') ? 'ConvTranspose' : 'Conv';
      return { weights: [1], biases: [2], hint: convolution(type, 6) };
    }
  }
}

/** Arguments of the call whose parenthesis ends before `begin`, as they are written; fewer where it is too long. */
function splitArguments(text: string, begin: number): string[] {
  const end = Math.min(text.length, begin + MAX_CALL_CHARACTERS);
  const parts: string[] = [];
  let depth = 0;
  let from = begin;
  for (let at = begin; at < end; at++) {
    const character = text[at] ?? '';
    if (depth === 0 && (character === ',' || character === ')')) {
      parts.push(text.slice(from, at).trim());
      from = at + 1;
      if (character === ')') break;
    } else if (character === '(' || character === '[') depth++;
    else if (character === ')' || character === ']') depth--;
  }
  return parts;
}

/** What the text of an archive's code says of its modules and constants. */
export class ScriptCode {
  private readonly groups = new Map<string, number>();
  private callsLeft = MAX_CALLS_CHARACTERS;
  /** By their numbers. */
  readonly constants: ReadonlyMap<number, ModuleHint>;

  /** @param folder of the archive that everything is in, with its slash */
  constructor(archive: ZipArchive, folder: string) {
    const constants = new Map<number, ModuleHint>();
    const root = `${folder}code/`;
    let left = MAX_CODE_BYTES;
    for (const entry of archive.entries.values()) {
      const { name, byteLength } = entry;
      if (!name.startsWith(root) || !name.endsWith('.py') || byteLength > left) continue;
      left -= byteLength;
      const text = Buffer.from(archive.read(entry)).toString('utf8');
      const module = name.slice(root.length, -'.py'.length).replaceAll('/', '.');
      this.readClasses(module, text);
      // The code of most archives has none.
      if (text.includes('CONSTANTS.c')) this.readCalls(text, constants);
    }
    this.constants = constants;
  }

  /** What the calls in a text use constants for, by the numbers of these; the first use of each as a weight. */
  private readCalls(text: string, into: Map<number, ModuleHint>): void {
    for (const call of text.matchAll(CALL)) {
      this.callsLeft -= MAX_CALL_CHARACTERS;
      if (this.callsLeft < 0) return;
      const { weights, biases, hint } = argumentsOf(call[1] ?? '');
      const given = splitArguments(text, call.index + call[0].length);
      const constant = (place: number): number =>
        Number(/^CONSTANTS\.c(\d+)$/.exec(given[place] ?? '')?.[1] ?? NaN);
      for (const place of biases)
        if (!into.has(constant(place))) into.set(constant(place), { type: 'Constant', part: 'bias' });
      for (const place of weights) {
        const known = into.get(constant(place));
        if (known === undefined || known.part === 'bias') into.set(constant(place), hint(given));
      }
    }
  }

  private readClasses(module: string, text: string): void {
    for (const part of text.split(/^class /m).slice(1)) {
      const name = /^\w+/.exec(part)?.[0] ?? '';
      const groups = SCRIPTED_GROUPS.exec(part)?.[1] ?? TRACED_CONVOLUTION.exec(part)?.[2];
      if (groups !== undefined) this.groups.set(`${module}.${name}`, Number(groups));
    }
  }

  /** Groups of the convolution that a class is, by its full name. */
  groupsOf(className: string): number | undefined {
    return this.groups.get(className);
  }
}

/**
 * Constants by the names that the code has for them. Beside weights of their own module they are what the code was
 * written with; in a frozen module, which has none, they are the weights.
 */
export function scriptConstants(
  found: { readonly tensors: readonly Tensor[]; readonly unreadable: readonly UnreadableTensor[] },
  hints: ReadonlyMap<number, ModuleHint>,
  isFrozen: boolean,
): { readonly tensors: readonly Tensor[]; readonly unreadable: readonly UnreadableTensor[] } {
  const named = <T extends { readonly name: string }>(item: T): T => ({
    ...item,
    name: `CONSTANTS.c${item.name}`,
  });
  return {
    tensors: found.tensors.map((tensor) => {
      const hint = hints.get(Number(tensor.name));
      const module: ModuleHint | undefined =
        hint ?? (isFrozen ? undefined : { type: 'Constant', part: 'constant' });
      return {
        ...named(tensor),
        role: 'model',
        ...(module !== undefined && { module: shaped(module, tensor) }),
      };
    }),
    unreadable: found.unreadable.map(named),
  };
}

/** Calls of convolutions need not say how many axes the kernel has: the kernel does. */
function shaped(module: ModuleHint, { shape }: Tensor): ModuleHint {
  return /^Conv(?:Transpose)?$/.test(module.type)
    ? { ...module, type: `${module.type}${shape.length - 2}d` }
    : module;
}

/** Whether a module keeps no weights: freezing makes constants of them. */
export function hasNoWeights(tensors: readonly Tensor[]): boolean {
  return !tensors.some(
    ({ shape, dtype }) => isFloating(dtype) && shape.length > 1 && elementCount(shape) > 0,
  );
}
