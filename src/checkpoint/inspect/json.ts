import { inARow } from '../wording';
import { utf8 } from './byteRange';
import type { Context, Part } from './context';
import { reportPath } from './zipTricks';

/** The configuration of the largest models is a few megabytes; an index of shards of a million tensors some hundred. */
const MAX_JSON_BYTES = 128 * 1024 * 1024;
/** Values looked at in one document. */
const MAX_VALUES = 5_000_000;
/** Nesting; V8's own reader has no bound. */
const MAX_DEPTH = 2000;
const MAX_NAMED = 6;

/** What is found in the configuration of a model. */
interface Found {
  /** Lambda layers and serialised functions. */
  readonly lambdas: Set<string>;
  /** Classes that Keras imports or asks the program for. */
  readonly custom: Set<string>;
  readonly paths: Set<string>;
  /** Code beside the model that a loader may run. */
  readonly remote: Set<string>;
}

/** JSON that belongs to a model: an index of shards, a TF.js model, the configuration of a Keras one. */
export function inspectJson({ range, where }: Part, context: Context): string {
  const { report } = context;
  report.parts++;
  if (range.size > MAX_JSON_BYTES) {
    report.find('unknown', 'limit', 'JSON of more bytes than is looked at', where);
    return 'JSON';
  }
  const value = parsed(utf8(range.read(0, range.size)));
  if (value === undefined) {
    report.find('unknown', 'format', 'JSON that is damaged', where);
    return 'JSON';
  }
  inspectConfiguration(value, where, context);
  if (typeof value !== 'object' || value === null) return 'JSON';
  if ('weight_map' in value) return 'an index of shards';
  if ('modelTopology' in value || 'weightsManifest' in value) return 'TensorFlow.js';
  return 'JSON';
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Reports what a parsed configuration names. */
export function inspectConfiguration(value: unknown, where: string, { report }: Context): void {
  const found: Found = { lambdas: new Set(), custom: new Set(), paths: new Set(), remote: new Set() };
  if (!search(value, found))
    report.find('unknown', 'limit', 'a configuration larger than is looked at', where);
  for (const name of found.lambdas) report.find('dangerous', 'code', codeWithin(name), where);
  for (const name of found.custom)
    report.find(
      'unknown',
      'code',
      `needs the class ${name}, which Keras imports or asks the program for`,
      where,
    );
  for (const path of found.paths) {
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(path))
      report.find('suspicious', 'path', `weights are fetched from "${path}"`, where);
    else reportPath(path, path, where, report);
  }
  if (found.remote.size > 0) {
    const files = inARow([...found.remote].slice(0, MAX_NAMED));
    report.note(`Names Python code beside it (${files}), which trust_remote_code runs; it was not looked at`);
  }
}

/** @param what holds the code. */
export function codeWithin(what: string): string {
  return `${what}: Python code within the model, which Keras runs unless safe_mode forbids it`;
}

/** Keras's own modules; classes of others are looked for in the program, or imported. */
const KERAS_MODULE =
  /^(?:keras|tf_keras|tensorflow\.keras|tensorflow\.python\.keras|keras_nlp|keras_hub|keras_cv)(?:\.|$)|^builtins$/;

/** Walks all values with a stack of its own, however deep they nest. @returns false where it stopped early. */
function search(root: unknown, found: Found): boolean {
  const stack: { value: unknown; depth: number }[] = [{ value: root, depth: 0 }];
  let left = MAX_VALUES;
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { value, depth } = next;
    if (typeof value !== 'object' || value === null) continue;
    if (--left < 0 || depth > MAX_DEPTH) return false;
    if (!Array.isArray(value)) look(value as Record<string, unknown>, found); // an object of JSON.parse
    for (const inner of Object.values(value)) {
      // An attribute of a Keras file may hold its configuration as text.
      if (typeof inner === 'object' && inner !== null) stack.push({ value: inner, depth: depth + 1 });
    }
  }
  return true;
}

const MAX_FOUND = 200;

function look(object: Readonly<Record<string, unknown>>, found: Found): void {
  const type = own(object, 'class_name');
  const add = (set: Set<string>, text: string) => {
    if (set.size < MAX_FOUND) set.add(text);
  };
  if (type === 'Lambda') add(found.lambdas, 'a Lambda layer');
  else if (type === '__lambda__' || type === 'function_from_code')
    add(found.lambdas, 'a serialised function');
  else if (typeof type === 'string') {
    const custom = customClass(type, own(object, 'module'), own(object, 'registered_name'));
    if (custom !== undefined) add(found.custom, custom);
  }
  const map = own(object, 'weight_map');
  if (typeof map === 'object' && map !== null)
    for (const path of Object.values(map)) if (typeof path === 'string') add(found.paths, path);
  const paths = own(object, 'paths');
  if (Array.isArray(paths)) for (const path of paths) if (typeof path === 'string') add(found.paths, path);
  const auto = own(object, 'auto_map');
  if (typeof auto === 'object' && auto !== null)
    for (const code of Object.values(auto).flat()) if (typeof code === 'string') add(found.remote, code);
}

/** The name of a class that is none of Keras's own: one of another module, or registered as `package>class`. */
function customClass(type: string, module: unknown, registered: unknown): string | undefined {
  if (typeof module === 'string' && module !== '' && !KERAS_MODULE.test(module)) return `${module}.${type}`;
  if (typeof registered === 'string' && registered.includes('>')) return registered;
  return type.includes('>') ? type : undefined;
}

function own(object: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
