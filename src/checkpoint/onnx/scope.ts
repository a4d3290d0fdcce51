/** Where the names of a model's graphs lead: a subgraph sees what the graphs around it define. */
import { printable } from '../errors';
import type { OnnxGraph, OnnxModel, OnnxNode } from './model';
import type { OnnxTensor } from './tensor';

/** Longest chain of nodes that only copy which is followed from a use to what is stored. */
export const MAX_CHAIN = 16;

/** What a name stands for. */
export type Definition =
  | { readonly kind: 'stored'; readonly tensor: OnnxTensor }
  | { readonly kind: 'computed'; readonly node: OnnxNode; readonly scope: Scope }
  /** An input of a graph, or a name that nothing defines. */
  | { readonly kind: 'given' };

const GIVEN: Definition = { kind: 'given' };

/** What a graph, or the body of a function, holds and defines. */
export class Scope {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly sparse: readonly string[];
  private readonly defined = new Map<string, Definition>();
  private readonly readers = new Map<string, OnnxNode[]>();

  constructor(
    graph: Pick<OnnxGraph, 'nodes' | 'initializers' | 'sparseInitializers' | 'inputs'>,
    /** Empty for the main graph; nodes and attributes that lead here otherwise. */
    readonly path: readonly string[],
    private readonly outer?: Scope,
  ) {
    this.nodes = graph.nodes;
    this.initializers = graph.initializers;
    this.sparse = graph.sparseInitializers.map(({ name }) => name);
    for (const { name } of graph.inputs) this.defined.set(name, GIVEN);
    for (const node of graph.nodes) this.addNode(node);
    // Initializers may be listed among the inputs too: they are their defaults.
    for (const tensor of graph.initializers) this.defined.set(tensor.name, { kind: 'stored', tensor });
  }

  private addNode(node: OnnxNode): void {
    const value = constantOf(node);
    for (const name of node.outputs)
      this.defined.set(
        name,
        value === undefined ? { kind: 'computed', node, scope: this } : { kind: 'stored', tensor: value },
      );
    for (const name of node.inputs) {
      const known = this.readers.get(name);
      if (known === undefined) this.readers.set(name, [node]);
      else known.push(node);
    }
  }

  define(name: string): Definition {
    if (name === '') return GIVEN;
    const own = this.defined.get(name);
    return own ?? this.outer?.define(name) ?? GIVEN;
  }

  /** The stored values behind a name, copies followed. */
  constant(name: string): OnnxTensor | undefined {
    let found = this.define(name);
    for (let step = 0; step < MAX_CHAIN && found.kind === 'computed'; step++) {
      if (found.node.operator !== 'Identity') return undefined;
      found = found.scope.define(found.node.inputs[0] ?? '');
    }
    return found.kind === 'stored' ? found.tensor : undefined;
  }

  /** The only node of this graph that reads a value. */
  onlyReader(name: string): OnnxNode | undefined {
    const readers = this.readers.get(name);
    return readers?.length === 1 ? readers[0] : undefined;
  }
}

/** The tensor that a Constant gives; undefined for other nodes, and for constants written as single numbers. */
export function constantOf(node: OnnxNode): OnnxTensor | undefined {
  return isConstant(node) ? node.attributes.get('value')?.tensor : undefined;
}

export function isConstant({ operator, domain }: OnnxNode): boolean {
  return operator === 'Constant' && domain === '';
}

/** The main graph, the graphs inside its nodes, and the bodies of functions: outer ones first. */
export function scopesOf(model: OnnxModel): Scope[] {
  const scopes: Scope[] = [];
  const main = new Scope(model.graph, []);
  addScopes(main, scopes);
  model.functions.forEach((nodes, index) => {
    const body = { nodes, initializers: [], sparseInitializers: [], inputs: [] };
    addScopes(new Scope(body, [`function ${index}`]), scopes);
  });
  return scopes;
}

/** No deeper than the model's reader goes. */
function addScopes(scope: Scope, into: Scope[]): void {
  into.push(scope);
  scope.nodes.forEach((node, index) => {
    const name = node.name === '' ? `${node.operator} ${index}` : node.name;
    for (const [attribute, { graphs }] of node.attributes)
      graphs.forEach((graph, i) => {
        const step = graphs.length > 1 ? `${attribute} ${i}` : attribute;
        addScopes(new Scope(graph, [...scope.path, printable(`${name}/${step}`)], scope), into);
      });
  });
}
