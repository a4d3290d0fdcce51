import type { DatasetNode, Hdf5Tree } from '../hdf5/tree';
import { classOfAutomaticName, kerasClass, snakeCase, variablesOf } from './classes';
import type { KerasNode } from './config';
import { inferVariables } from './infer';
import { moduleOf, roleAt, type Place } from './place';

/** The group of a layer that holds its variables by number. */
const VARIABLES = 'vars';

/** Keras 3's format: groups as objects hold one another, in each a group `vars` of numbered variables. */
export class NumberedWeights {
  /** Of the variables of each group; some numbers may be missing. */
  private readonly shapes = new Map<string, (readonly number[] | undefined)[]>();

  constructor(
    private readonly tree: Hdf5Tree,
    private readonly model: KerasNode | undefined,
  ) {
    for (const { path, content } of tree.datasets) {
      const number = numberOf(path);
      if (number === undefined) continue;
      const group = path.slice(0, -2).join('/');
      const shapes = this.shapes.get(group) ?? [];
      // Numbers beyond those of any class are looked at by nobody.
      if (number < MAX_VARIABLES) shapes[number] = 'tensor' in content ? content.tensor.shape : content.shape;
      this.shapes.set(group, shapes);
    }
  }

  /** Whether a tree is of this kind. */
  static is({ datasets, attributes }: Hdf5Tree): boolean {
    return datasets.some(isNumbered) || attributes.has(VARIABLES);
  }

  /** Names are as the file has them: `layers/conv2d/vars/0`. */
  place(path: readonly string[]): Place {
    const name = path.join('/');
    const role = roleAt(path);
    const number = numberOf(path);
    if (number === undefined || role !== 'model') return { name, role, order: Infinity };
    const groups = path.slice(0, -2);
    const { node, nearest } = this.nodeAt(groups);
    const order = (nearest?.order ?? Infinity) + projectionOrder(groups.at(-1)) / PROJECTIONS.length;
    // What it computes with: a vector, and the wrapped layer's weight, which is kept there once more.
    const isCopy =
      (node?.className ?? '') === WEIGHT_COPY || groups.at(-1)?.startsWith(snakeCase(WEIGHT_COPY));
    if (isCopy === true) return { name, role: 'training', order };
    const layer = this.layerName(groups);
    const className =
      node?.className ?? projectionClass(groups.at(-1)) ?? automaticClass(groups.at(-1), layer);
    const variable = this.variable(className, node, groups, number);
    if (variable === undefined) return { name, role, order };
    const knownAs = [...groups.slice(0, -1), layer, variable].join('/');
    const module = moduleOf(className, variable, node, knownAs);
    return { name, role, order, ...(module !== undefined && { module }) };
  }

  private variable(
    className: string | undefined,
    node: KerasNode | undefined,
    groups: readonly string[],
    number: number,
  ): string | undefined {
    const known = className === undefined ? undefined : kerasClass(className);
    const shapes = this.shapes.get(groups.join('/')) ?? [];
    if (known === undefined) return inferVariables(Array.from(shapes, (shape) => shape ?? []))?.[number];
    const variables = variablesOf(known, node);
    // Without the configuration it is not known which of a normalisation's scale and shift was left out.
    const isShort =
      node === undefined && variables.includes('moving_mean') && shapes.length < variables.length;
    return (isShort ? variables.slice(variables.length - shapes.length) : variables)[number];
  }

  /** What a group's layer is called: newer files say it, older ones call the group after the class. */
  private layerName(groups: readonly string[]): string {
    const [stated] = this.tree.attributes.get([...groups, VARIABLES].join('/'))?.get('name') ?? [];
    const group = groups.at(-1) ?? '';
    const projection = PROJECTION.exec(group)?.[1];
    return stated ?? (projection === 'output' ? 'attention_output' : projection) ?? group;
  }

  /** The layer of the configuration that a group belongs to, and the last one on the way that is there. */
  private nodeAt(groups: readonly string[]): {
    readonly node?: KerasNode | undefined;
    readonly nearest?: KerasNode | undefined;
  } {
    let node = this.model;
    let nearest = node;
    for (let i = 0; i < groups.length && node !== undefined; i++) {
      const key = groups[i] ?? '';
      const container = containerKey(key, node);
      const children = node.children.filter((child) => child.key === container);
      if (children.length === 0) {
        // A recurrent layer's cell is no object of its own in the configuration.
        if (key === 'cell' && kerasClass(node.className) !== undefined) continue;
        return { nearest };
      }
      if (CONTAINERS.has(key)) {
        i++;
        node = this.childAt(children, groups.slice(0, i + 1));
      } else node = children[0];
      nearest = node ?? nearest;
    }
    return { node, nearest };
  }

  private childAt(children: readonly KerasNode[], groups: readonly string[]): KerasNode | undefined {
    const [stated] = this.tree.attributes.get([...groups, VARIABLES].join('/'))?.get('name') ?? [];
    const named = stated === undefined ? undefined : children.find(({ name }) => name === stated);
    return named ?? uniqueNames(children).get(groups.at(-1) ?? '');
  }
}

const WEIGHT_COPY = 'SpectralNormalization';
const CONTAINERS: ReadonlySet<string> = new Set(['layers', 'cells', '_layer_checkpoint_dependencies']);
/** The most that a class of Keras has, with room. */
const MAX_VARIABLES = 64;
/** The parts of Keras' attention layers. */
const PROJECTION = /^_?(query|key|value|output)_dense$/;

const PROJECTIONS = ['query', 'key', 'value', 'output'];

/** Queries first, as everywhere else; 0 for what is no part of an attention layer. */
function projectionOrder(group: string | undefined): number {
  return Math.max(0, PROJECTIONS.indexOf(PROJECTION.exec(group ?? '')?.[1] ?? ''));
}

function projectionClass(group: string | undefined): string | undefined {
  return PROJECTION.test(group ?? '') ? 'EinsumDense' : undefined;
}

function automaticClass(group: string | undefined, layer: string): string | undefined {
  return classOfAutomaticName(group ?? '') ?? classOfAutomaticName(layer);
}

/** What the children of a group are called in the configuration. */
function containerKey(key: string, { children }: KerasNode): string {
  if (key === '_layer_checkpoint_dependencies') return 'layers';
  // Without a layer of its own for the way back, both are made of one.
  const isWrapped = /^(?:forward|backward)_layer$/.test(key) && !children.some((child) => child.key === key);
  return isWrapped ? 'layer' : key;
}

const namesOf = new WeakMap<readonly KerasNode[], ReadonlyMap<string, KerasNode>>();

/** Layers by the names that Keras gives their groups: the class's, with a number from the second one on. */
function uniqueNames(children: readonly KerasNode[]): ReadonlyMap<string, KerasNode> {
  const known = namesOf.get(children);
  if (known !== undefined) return known;
  const used = new Map<string, number>();
  const names = new Map<string, KerasNode>();
  for (const child of children) {
    const name = snakeCase(child.className);
    const count = used.get(name) ?? 0;
    used.set(name, count + 1);
    names.set(count === 0 ? name : `${name}_${count}`, child);
  }
  namesOf.set(children, names);
  return names;
}

function numberOf(path: readonly string[]): number | undefined {
  const last = path.at(-1) ?? '';
  return path.at(-2) === VARIABLES && /^\d{1,9}$/.test(last) ? Number(last) : undefined;
}

function isNumbered({ path }: DatasetNode): boolean {
  return numberOf(path) !== undefined;
}
