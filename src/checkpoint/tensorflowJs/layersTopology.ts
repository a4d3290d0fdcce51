/** Keras' layers in a topology: class names and groups, by the layer's name. */
import type { ModuleHint } from '../checkpoint';
import { isObject, type JsonObject, type WeightSpec } from './manifest';

/** Models inside models nest some six levels of JSON each. */
const MAX_DEPTH = 100;

/** A layer as the file describes it. */
interface KerasLayer {
  readonly className: string;
  readonly config: JsonObject;
}

/** Leaves that are a layer's matrix: kernels of recurrent layers are read by their names. */
const KERNEL = /^(?:kernel|depthwise_kernel|pointwise_kernel|embeddings)$/;

/** @param topology with the model, or the model in its `model_config` */
export function layersModules(topology: JsonObject): (weight: WeightSpec) => ModuleHint | undefined {
  const layers = new Map<string, KerasLayer>();
  collect(isObject(topology.model_config) ? topology.model_config : topology, layers, 0);
  return ({ name, shape }) => {
    const segments = name.split('/');
    const leaf = segments.pop() ?? '';
    const layer = layers.get(segments.at(-1) ?? '');
    return layer === undefined || !KERNEL.test(leaf) ? undefined : moduleOf(layer, leaf, shape.length);
  };
}

function collect(value: unknown, layers: Map<string, KerasLayer>, depth: number): void {
  if (depth > MAX_DEPTH) return;
  if (Array.isArray(value)) {
    for (const item of value) collect(item, layers, depth + 1);
    return;
  }
  if (!isObject(value)) return;
  const { class_name: className, config } = value;
  if (typeof className === 'string' && isObject(config) && typeof config.name === 'string') {
    if (!layers.has(config.name)) layers.set(config.name, { className, config });
  }
  // Models, and wrappers such as TimeDistributed, have layers in their configuration.
  for (const inner of Object.values(value)) collect(inner, layers, depth + 1);
}

function moduleOf({ className, config }: KerasLayer, leaf: string, axes: number): ModuleHint | undefined {
  const order = 'in-out';
  if (className === 'Embedding') return { type: 'Embedding' };
  if (className === 'Dense') return axes === 2 ? { type: 'Linear', order } : undefined;
  const [, kind = '', dimensions = '', transpose = ''] =
    /^(Conv|Depthwise(?:Conv)|Separable(?:Conv))([123])D(Transpose)?$/.exec(className) ?? [];
  if (axes !== Number(dimensions) + 2) return undefined;
  if (kind === 'DepthwiseConv' || leaf === 'depthwise_kernel')
    return { type: `DepthwiseConv${dimensions}d`, order };
  const { groups } = config;
  const isGrouped =
    kind === 'Conv' && typeof groups === 'number' && Number.isSafeInteger(groups) && groups > 0;
  const type = `Conv${transpose}${dimensions}d`;
  return { type, order, ...(isGrouped && { groups }) };
}
