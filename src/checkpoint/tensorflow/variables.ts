/** What the graph of objects tells of variables: their own names, their order, and whose state they are. */
import type { TensorRole } from '../checkpoint';
import type { ObjectNode } from './objectGraph';

export interface GraphVariable {
  readonly fullName: string;
  readonly role: TensorRole;
  /** Objects are numbered from the root down, so that layers come in the order in which a model has them. */
  readonly order: number;
}

/** Optimizers among an object's members: `optimizer`, `_optimizer`, `generator_optimizer`. */
const OPTIMIZER_EDGE = /(?:^|_)optimi[sz]ers?$/;
/** What Keras gathers while it trains; `_loss_tracker` is the mean of the loss over an epoch. */
const TRAINING_EDGE = /^_?(?:\w+_)?metrics$|^_?(?:compiled?_loss|compile_metrics|loss_tracker|save_counter)$/;
/** Lists of the model's own variables that an optimizer of Keras 3 keeps. */
const MODEL_OF_OPTIMIZER = '_trainable_variables';

/**
 * By key. A variable is the model's when objects that are neither optimizers nor metrics lead to it: Keras 3 names a
 * model's variables by the place in its optimizer's list where there is one, whatever else holds them.
 */
export function graphVariables(nodes: readonly ObjectNode[]): ReadonlyMap<string, GraphVariable> {
  const isOptimizer = nodes.map((node) => looksLikeOptimizer(node));
  for (const { children } of nodes) {
    for (const { name, node } of children)
      if (OPTIMIZER_EDGE.test(name) && node in nodes) isOptimizer[node] = true;
  }
  const model = reach(nodes, [0], (from, name) =>
    isOptimizer[from] === true ? name === MODEL_OF_OPTIMIZER : !TRAINING_EDGE.test(name),
  );
  const optimizers = nodes.flatMap((_, i) => (isOptimizer[i] === true ? [i] : []));
  const optimizer = reach(nodes, optimizers, () => true);
  const variables = new Map<string, GraphVariable>();
  nodes.forEach(({ attributes }, order) => {
    const role = model.has(order) ? 'model' : optimizer.has(order) ? 'optimizer' : 'training';
    for (const { key, fullName } of attributes) variables.set(key, { fullName, role, order });
  });
  return variables;
}

/** Keras' before version 3 keep slots, those since keep their step in `_iterations`. */
function looksLikeOptimizer({ children, hasSlots }: ObjectNode): boolean {
  return hasSlots || children.some(({ name }) => name === '_iterations');
}

/** The objects that lead is to, each looked at once. */
function reach(
  nodes: readonly ObjectNode[],
  from: readonly number[],
  follows: (node: number, edge: string) => boolean,
): ReadonlySet<number> {
  const reached = new Set(from);
  const waiting = [...from];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    for (const { name, node: child } of nodes[node]?.children ?? []) {
      if (reached.has(child) || !follows(node, name)) continue;
      reached.add(child);
      waiting.push(child);
    }
  }
  return reached;
}
