import type { Hdf5Tree } from '../hdf5/tree';
import { kerasClass } from './classes';
import type { KerasNode } from './config';
import { moduleOf, roleAt, type Place } from './place';

/** Keras 1 to 3's older format: a group for each layer, in it the weights by their own names. */
export class LegacyWeights {
  /** Names of the groups above the layers' ones: `model_weights` in whole models, none in files of weights alone. */
  private readonly above: readonly string[];
  private readonly places: ReadonlyMap<string, number>;
  private readonly layers = new Map<string, KerasNode>();
  private readonly repeated: ReadonlySet<string>;

  constructor(
    private readonly tree: Hdf5Tree,
    model: KerasNode | undefined,
  ) {
    this.above = tree.datasets.some(({ path }) => path[0] === WHOLE_MODEL) ? [WHOLE_MODEL] : [];
    this.places = this.statedOrder();
    for (const layer of model?.children ?? [])
      if (layer.name !== undefined) this.layers.set(layer.name, layer);
    this.repeated = this.repeatedNames();
  }

  /** Whether a tree is of this kind. */
  static is({ attributes }: Hdf5Tree): boolean {
    return ['', WHOLE_MODEL].some((group) => listed(attributes.get(group), 'layer_names') !== undefined);
  }

  /**
   * A weight is called as Keras calls it, without the group of its layer: `conv2d/kernel:0`, which the file has at
   * `model_weights/conv2d/conv2d/kernel:0`. Where two layers have weights of one name, both have the group before it.
   */
  place(path: readonly string[], shape: readonly number[]): Place {
    const full = path.join('/');
    const order = this.places.get(full) ?? Infinity;
    const inner = this.inner(path);
    if (inner === undefined) return { name: full, role: roleAt(path), order };
    const own = inner.slice(1).join('/');
    const name = this.repeated.has(own) ? inner.join('/') : own;
    const node = nodeOf(this.layers.get(inner[0] ?? ''), inner.slice(1, -1));
    const written = (inner.at(-1) ?? '').replace(/:\d+$/, '');
    // Keras 3 calls the kernel of a depthwise convolution as all others are.
    const isDepthwise =
      (node?.className ?? '').startsWith('Depthwise') && written === 'kernel' && shape.length > 2;
    const variable = isDepthwise ? 'depthwise_kernel' : written;
    const module = moduleOf(
      node?.className,
      variable,
      node,
      isDepthwise ? name.replace(/kernel(:\d+)?$/, variable) : undefined,
    );
    return { name, role: roleAt(inner), order, ...(module !== undefined && { module }) };
  }

  /** What is below the groups above: a layer's name first. Undefined for what is no weight of a layer. */
  private inner(path: readonly string[]): readonly string[] | undefined {
    const isBelow = this.above.every((group, i) => path[i] === group);
    const inner = path.slice(this.above.length);
    return isBelow && inner.length > 1 ? inner : undefined;
  }

  private repeatedNames(): Set<string> {
    const [seen, repeated] = [new Set<string>(), new Set<string>()];
    for (const { path } of this.tree.datasets) {
      const own = this.inner(path)?.slice(1).join('/') ?? path.join('/');
      if (seen.has(own)) repeated.add(own);
      seen.add(own);
    }
    return repeated;
  }

  /** The order of the layers and of their weights, which the file states. */
  private statedOrder(): Map<string, number> {
    const { attributes } = this.tree;
    const root = this.above.join('/');
    const places = new Map<string, number>();
    const prefix = root === '' ? '' : `${root}/`;
    for (const layer of [...(listed(attributes.get(root), 'layer_names') ?? []), 'top_level_model_weights']) {
      for (const weight of listed(attributes.get(prefix + layer), 'weight_names') ?? []) {
        const path = `${prefix}${layer}/${weight}`;
        if (!places.has(path)) places.set(path, places.size);
      }
    }
    return places;
  }
}

const WHOLE_MODEL = 'model_weights';

/** A list that is cut into several attributes where it is long: `layer_names`, or `layer_names0`, `layer_names1` … */
function listed(
  attributes: ReadonlyMap<string, readonly string[]> | undefined,
  name: string,
): readonly string[] | undefined {
  const whole = attributes?.get(name);
  if (whole !== undefined || attributes === undefined) return whole;
  const parts: string[] = [];
  let found = false;
  for (let i = 0; ; i++) {
    const part = attributes.get(`${name}${i}`);
    if (part === undefined) return found ? parts : undefined;
    for (const text of part) parts.push(text);
    found = true;
  }
}

/** The layer that a weight belongs to, inside models and wrappers. */
function nodeOf(layer: KerasNode | undefined, segments: readonly string[]): KerasNode | undefined {
  let node = layer;
  for (const segment of segments) node = node?.children.find(({ name }) => name === segment) ?? node;
  // Bidirectional and TimeDistributed keep the one layer that they wrap.
  while (node !== undefined && kerasClass(node.className) === undefined) {
    const inner: KerasNode | undefined = node.children.find(({ key }) => key === 'layer');
    if (inner === undefined) break;
    node = inner;
  }
  return node;
}
