import type { ModuleHint, TensorRole } from '../checkpoint';
import { CheckpointError } from '../errors';
import { roleOfTopLevel } from '../roles';
import {
  DictValue,
  GlobalValue,
  ListValue,
  NumpyArrayValue,
  ObjectValue,
  type PickleValue,
  StorageValue,
  TensorValue,
  TupleValue,
  UnreadableValue,
  integerOf,
  itemsOf,
} from './values';

/** Nesting of containers; Python's own pickler gives up at about a thousand frames, a few for each container. */
const MAX_DEPTH = 300;
/** Tensors of one file: three times a mixture of experts with 256 experts in 60 layers. */
const MAX_TENSORS = 200_000;
/** A path longer than this names nothing a person could read. */
const MAX_NAME_CHARACTERS = 4096;
/** All names together; keeps shared prefixes from growing into gigabytes. */
const MAX_NAMES_CHARACTERS = 32 * 1024 * 1024;

/** Where recurrent modules list their own parameters a second time; no state dict has it. */
const PARAMETER_LISTS: ReadonlySet<PickleValue> = new Set(['_flat_weights']);

export type Leaf = TensorValue | NumpyArrayValue | UnreadableValue | StorageValue;

export interface FoundTensor {
  readonly name: string;
  readonly value: Leaf;
  readonly role: TensorRole;
  readonly module: ModuleHint | undefined;
}

interface Place {
  readonly value: PickleValue;
  readonly path: string;
  readonly depth: number;
  readonly role: TensorRole;
  readonly module: ModuleHint | undefined;
}

export interface Collected {
  readonly found: readonly FoundTensor[];
  readonly notes: readonly string[];
}

/** Groups of convolutions of a class, where something beside the pickle tells them. */
type GroupsOf = (className: string) => number | undefined;

/** Keys under which training scripts keep the state of optimizers. */
const OPTIMIZER_KEYS: ReadonlySet<string> = new Set([
  'optim',
  'optims',
  'optimizer',
  'optimizers',
  'optimizer_state',
  'optimizer_states',
  'optimizer_state_dict',
  'optimizer_state_dicts',
  'optimizer_dict',
  'optim_state',
  'optim_state_dict',
  'opt_state',
  'opt_state_dict',
]);

/** Where nn.Module keeps its parts; a state dict's names do not show them. */
const MODULE_PARTS = ['_parameters', '_buffers', '_modules'] as const;

/**
 * Every tensor in what a pickle built, wherever it is nested, in file order.
 *
 * Names are the path from the root, keys, attributes and indices joined with dots. The bookkeeping dicts of
 * whole-module files are left out of the path, so that names are those of the module's state dict.
 * Each container is visited once however often it is referred to: cycles end, and shared references cost nothing.
 *
 * @throws CheckpointError `unsupported` beyond the bounds above.
 */
export function collectTensors(
  root: PickleValue,
  rootName: string,
  groupsOf: GroupsOf = () => undefined,
): Collected {
  const found: FoundTensor[] = [];
  const visited = new Set<object>();
  const notes: string[] = [];
  const pending: Place[] = [{ value: root, path: '', depth: 0, role: 'model', module: undefined }];
  let nameCharacters = 0;
  let tooDeep = false;
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    const { value, path, depth, role, module } = place;
    if (value === null || typeof value !== 'object') continue;
    if (isLeaf(value)) {
      nameCharacters += path.length;
      if (found.length >= MAX_TENSORS || nameCharacters > MAX_NAMES_CHARACTERS) {
        throw new CheckpointError(
          'unsupported',
          `pickle: more than ${MAX_TENSORS} tensors or too long names`,
        );
      }
      found.push({ name: path === '' ? rootName : path, value, role, module });
      continue;
    }
    if (visited.has(value)) continue;
    visited.add(value);
    if (depth > MAX_DEPTH || path.length > MAX_NAME_CHARACTERS) {
      tooDeep = true;
      continue;
    }
    const children = childrenOf(place, groupsOf);
    for (let i = children.length - 1; i >= 0; i--) {
      const child = children[i];
      if (child !== undefined) pending.push(child);
    }
  }
  if (tooDeep)
    notes.push(`Parts nested deeper than ${MAX_DEPTH} levels, or with names too long, were not searched`);
  return { found, notes };
}

function isLeaf(value: object): value is Leaf {
  return (
    value instanceof TensorValue ||
    value instanceof NumpyArrayValue ||
    value instanceof UnreadableValue ||
    value instanceof StorageValue
  );
}

function childrenOf(place: Place, groupsOf: GroupsOf): Place[] {
  const { value } = place;
  if (value instanceof ListValue || value instanceof TupleValue) return itemChildren(place, value.items);
  if (value instanceof DictValue) {
    return place.depth === 0 ? topLevelChildren(place, value) : dictChildren(place, value);
  }
  if (value instanceof ObjectValue) return objectChildren(place, value, groupsOf);
  return [];
}

function child(parent: Place, key: PickleValue, value: PickleValue): Place {
  const part = keyText(key);
  return {
    ...parent,
    value,
    path: parent.path === '' ? part : `${parent.path}.${part}`,
    depth: parent.depth + 1,
  };
}

function itemChildren(parent: Place, items: readonly PickleValue[]): Place[] {
  return items.flatMap((item, index) => (isPlain(item) ? [] : [child(parent, index, item)]));
}

function dictChildren(parent: Place, dict: DictValue): Place[] {
  const isOptimizer = dict.entries.has('param_groups') && dict.entries.has('state');
  const role: TensorRole = isOptimizer ? 'optimizer' : parent.role;
  const children = entryChildren({ ...parent, role }, dict.entries);
  if (!isPlain(dict.state)) children.push({ ...parent, role, value: dict.state, depth: parent.depth + 1 });
  return children;
}

/** The entries of a file that is a dict, of which some are trainers' bookkeeping. */
function topLevelChildren(root: Place, dict: DictValue): Place[] {
  const values = [...dict.entries.values()].filter((value) => !isPlain(value));
  const isStateDict = values.every((value) => sizeClass(value) !== 'container');
  return dictChildren(root, dict).map((place) => {
    if (place.role !== 'model' || place.value === dict.state) return place;
    return { ...place, role: roleOfTopLevel(place.path, sizeClass(place.value), isStateDict) };
  });
}

function sizeClass(value: PickleValue): 'scalar' | 'tensor' | 'container' {
  if (value === null || typeof value !== 'object' || !isLeaf(value)) return 'container';
  const size = value instanceof StorageValue ? [value.elements] : itemsOf(value.size);
  return size?.every((length) => length === 1) === true ? 'scalar' : 'tensor';
}

function entryChildren(parent: Place, entries: ReadonlyMap<PickleValue, PickleValue>): Place[] {
  const children: Place[] = [];
  for (const [key, value] of entries) {
    if (isPlain(value)) continue;
    const place = child(parent, key, value);
    const isOptimizer = typeof key === 'string' && OPTIMIZER_KEYS.has(key.toLowerCase());
    children.push(isOptimizer ? { ...place, role: 'optimizer' } : place);
  }
  return children;
}

/** Arguments, attributes and items of an object whose class is only a name to us. */
function objectChildren(parent: Place, object: ObjectValue, groupsOf: GroupsOf): Place[] {
  const attributes = attributesOf(object);
  const module = moduleHint(object, attributes, groupsOf);
  const isOptimizer = object.type instanceof GlobalValue && object.type.module.startsWith('torch.optim');
  const inside: Place = { ...parent, module, role: isOptimizer ? 'optimizer' : parent.role };
  const children: Place[] = [];
  if (!isPlain(object.args)) children.push({ ...inside, value: object.args, depth: parent.depth + 1 });
  for (const [key, value] of attributes) {
    if (isPlain(value) || (module !== undefined && PARAMETER_LISTS.has(key))) continue;
    const isPart = typeof key === 'string' && (MODULE_PARTS as readonly string[]).includes(key);
    if (isPart && value instanceof DictValue) children.push({ ...inside, value, depth: parent.depth + 1 });
    else children.push(...entryChildren(inside, new Map([[key, value]])));
  }
  children.push(...itemChildren(inside, object.items), ...entryChildren(inside, object.entries));
  return children;
}

/** The state of an object: a dict of attributes, or a pair of that and the values of its slots. */
function attributesOf(object: ObjectValue): ReadonlyMap<PickleValue, PickleValue> {
  const { state } = object;
  if (state instanceof DictValue) return state.entries;
  if (
    state instanceof TupleValue &&
    state.items.every((item) => item === null || item instanceof DictValue)
  ) {
    return new Map(state.items.flatMap((item) => (item instanceof DictValue ? [...item.entries] : [])));
  }
  return isPlain(state) ? new Map() : new Map([['state', state]]);
}

/** What the class's name says, for objects that are modules: Python's nn.Module or TorchScript's. */
function moduleHint(
  object: ObjectValue,
  attributes: ReadonlyMap<PickleValue, PickleValue>,
  groupsOf: GroupsOf,
): ModuleHint | undefined {
  if (!(object.type instanceof GlobalValue)) return undefined;
  const isModule =
    attributes.get('_parameters') instanceof DictValue || object.type.module.startsWith('__torch__.');
  if (!isModule) return undefined;
  const groups = integerOf(attributes.get('groups') ?? null) ?? groupsOf(object.type.fullName);
  return groups !== undefined && groups > 0 ? { type: object.type.name, groups } : { type: object.type.name };
}

function isPlain(value: PickleValue): boolean {
  return value === null || typeof value !== 'object';
}

function keyText(key: PickleValue): string {
  if (key === null) return 'None';
  if (typeof key !== 'object') return String(key);
  if (key instanceof TupleValue && key.items.length <= 8) {
    return `(${key.items.map((item) => (typeof item === 'object' ? '…' : String(item))).join(',')})`;
  }
  return key instanceof GlobalValue ? key.fullName : `<${key.kind}>`;
}
