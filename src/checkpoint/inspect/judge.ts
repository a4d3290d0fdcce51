import { isInert } from '../pickle/constructors';
import { FAMILIES, INTERNALS, REACHED } from './dangerous';
import type { Level } from './verdict';

export interface Judgement {
  readonly level: Level;
  /** Continues "it …", or stands alone for harmless ones. */
  readonly reason: string;
}

const BY_NAME = new Map<string, Judgement>();
const BY_PACKAGE = new Map<string, Judgement>();
for (const { level, reason, names = '', packages = '' } of FAMILIES) {
  for (const name of names.split(' ')) if (name !== '') BY_NAME.set(name, { level, reason });
  for (const name of packages.split(' ')) if (name !== '') BY_PACKAGE.set(name, { level, reason });
}

/** Longest path looked up; honest names have ten parts at most, and a longer one is made to be looked at in vain. */
const MAX_PARTS = 32;

const HARMLESS: Judgement = { level: 'safe', reason: 'known to be harmless' };

const SCRIPTED: Judgement = { level: 'safe', reason: "a class of the file's own TorchScript code" };

/** Harmless beside those that the reader of pickles follows: they only make values. */
const ALSO_HARMLESS: ReadonlySet<string> = new Set(
  (
    'copyreg.__newobj__ copyreg.__newobj_ex__ copy_reg.__newobj__ builtins.NoneType builtins.Ellipsis ' +
    'builtins.NotImplemented __builtin__.NoneType builtins.enumerate builtins.zip builtins.reversed ' +
    'builtins.bytes __builtin__.str __builtin__.xrange _codecs.encode numpy.random._pickle.__bit_generator_ctor ' +
    'numpy.random._pickle.__generator_ctor numpy.random._pickle.__randomstate_ctor numpy.bool_ numpy.str_ ' +
    'numpy.bytes_ numpy.void numpy.ma.core._mareconstruct zoneinfo.ZoneInfo._unpickle'
  ).split(' '),
);

/** A number type of NumPy. */
const NUMPY_NUMBER = /^numpy\.(?:u?int|float|complex)\d{1,3}$/;

/**
 * What a global does that a pickle names as `module` and `name`.
 *
 * @param name may have dots since protocol 4: Python then follows attributes, so that `torch` and `os.system` name
 *   what `os` and `system` do.
 */
export function judgeGlobal(module: string, name: string): Judgement {
  const fullName = `${module}.${name}`;
  if (isInert(fullName) || ALSO_HARMLESS.has(fullName) || NUMPY_NUMBER.test(fullName)) return HARMLESS;
  // Classes of TorchScript lie in the archive itself: Python has no such module to import.
  if (module === '__torch__' || module.startsWith('__torch__.')) return SCRIPTED;
  const modules = module.split('.');
  const parts = [...modules, ...name.split('.')];
  // Attributes lead in circles (torch.nn.torch.nn …): what does harm may stand behind any number of them.
  if (parts.length > MAX_PARTS)
    return { level: 'dangerous', reason: `reaches something through ${parts.length} names` };
  const itself = lookUp(parts);
  if (itself?.level === 'dangerous') return itself;
  return reached(parts, modules.length) ?? throughInternals(parts) ?? itself ?? unlisted(module, fullName);
}

/** Longer paths are only ever known by a package that they lie in. */
const MOST_KNOWN_PARTS = Math.max(
  ...[...BY_NAME.keys(), ...BY_PACKAGE.keys()].map((name) => name.split('.').length),
);

/** By the whole path, then by the packages it lies in. */
function lookUp(parts: readonly string[]): Judgement | undefined {
  for (let length = Math.min(parts.length, MOST_KNOWN_PARTS); length > 0; length--) {
    const path = parts.slice(0, length).join('.');
    const found = BY_PACKAGE.get(path) ?? BY_NAME.get(path);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A module that does harm, reached through another one: `random._os.system`. */
function reached(parts: readonly string[], modules: number): Judgement | undefined {
  for (let start = 1; start < parts.length; start++) {
    const part = parts[start] ?? '';
    const first = start < modules ? part : part.replace(/^_+(?=[a-z])/, '');
    const rest = [first, ...parts.slice(start + 1)];
    const found = lookUp(rest);
    // Parts of the module's own path are files of a package, and a name alone is often a function's: both may be called
    // what a module of Python is called.
    const counts =
      REACHED.has(first) || (start >= modules && rest.length > 1 && found?.level === 'dangerous');
    if (!counts) continue;
    const reason =
      found === undefined
        ? `reaches ${first} through another module`
        : `${found.reason} (it is ${rest.join('.')})`;
    return { level: 'dangerous', reason };
  }
  return undefined;
}

function throughInternals(parts: readonly string[]): Judgement | undefined {
  const found = parts.find((part) => INTERNALS.has(part));
  if (found === undefined) return undefined;
  return { level: 'dangerous', reason: `reaches everything else in Python through ${found}` };
}

function unlisted(module: string, fullName: string): Judgement {
  if (module === '__main__')
    return {
      level: 'unknown',
      reason: 'belongs to the program that wrote the file; whoever loads it must have it',
    };
  if (/^torch\.(?:nn|optim)\.[\w.]+$/.test(fullName))
    return { level: 'unknown', reason: "runs PyTorch's own code of that name, with what the file says" };
  return { level: 'unknown', reason: 'is not known: naming it imports its module and may call it' };
}
