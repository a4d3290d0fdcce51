/** TensorFlow's graph in a topology: which operation takes which constant. */
import type { ModuleHint } from '../checkpoint';
import { isObject, type JsonObject, type WeightSpec } from './manifest';

/** An operation that takes a weight, and as which of its inputs. */
interface Use {
  readonly op: string;
  readonly input: number;
  readonly attributes: JsonObject;
}

/** Operations that hand a weight on as it is, or with an axis of size 1 more (convolutions over one axis). */
const PASSING = /^(?:Identity|ReadVariableOp|ExpandDims)$/;
/** Of those one after the other. */
const MAX_PASSES = 8;

/** @param nodes of the graph, each with name, operation and the names of its inputs */
export function graphModules(nodes: readonly unknown[]): (weight: WeightSpec) => ModuleHint | undefined {
  const uses = new Map<string, Use>();
  const passedOn = new Map<string, string>();
  for (const node of nodes) {
    if (!isObject(node) || typeof node.op !== 'string' || !Array.isArray(node.input)) continue;
    const inputs: readonly unknown[] = node.input;
    const { op, name, attr } = node;
    inputs.slice(0, 2).forEach((given, input) => {
      if (typeof given !== 'string') return;
      const from = given.replace(/:\d+$/, '');
      if (PASSING.test(op) && input === 0 && typeof name === 'string') passedOn.set(from, name);
      else if (!uses.has(from)) uses.set(from, { op, input, attributes: isObject(attr) ? attr : {} });
    });
  }
  return ({ name, shape }) => {
    let at: string | undefined = name;
    for (let i = 0; i < MAX_PASSES && at !== undefined; i++) {
      const module: ModuleHint | undefined = moduleOf(uses.get(at), shape.length);
      if (module !== undefined) return module;
      at = passedOn.get(at);
    }
    return undefined;
  };
}

function moduleOf(use: Use | undefined, axes: number): ModuleHint | undefined {
  if (use === undefined) return undefined;
  const { op, input, attributes } = use;
  if (/^(?:_?Fused)?MatMul$/.test(op)) return axes === 2 ? matrixOf(input, attributes) : undefined;
  if (/^(?:Resource)?Gather(?:V2)?$/.test(op))
    return input === 0 && axes === 2 ? { type: 'Embedding' } : undefined;
  if (input !== 1 || axes < 3 || axes > 5) return undefined;
  const dimensions = `${axes - 2}d`;
  if (/^(?:_?Fused)?DepthwiseConv2dNative$/.test(op))
    return { type: `DepthwiseConv${dimensions}`, order: 'in-out' };
  // Gradients of convolutions by their input are what transposed convolutions compute.
  if (/^Conv(?:2D|3D)BackpropInput(?:V2)?$/.test(op))
    return { type: `ConvTranspose${dimensions}`, order: 'in-out' };
  return /^(?:_?Fused)?Conv[23]D$/.test(op) ? { type: `Conv${dimensions}`, order: 'in-out' } : undefined;
}

/** a·b: a weight b is in × out, a weight a out × in, and turned round where the operation says so. */
function matrixOf(input: number, attributes: JsonObject): ModuleHint {
  const flag = attributes[input === 1 ? 'transpose_b' : 'transpose_a'];
  const isTurned = isObject(flag) && flag.b === true;
  return { type: 'Linear', order: (input === 1) === isTurned ? 'out-in' : 'in-out' };
}
