import { CheckpointError } from '../errors';
import { JsonReader } from '../json';

/** The configuration of the largest models is a few megabytes. */
export const MAX_CONFIG_BYTES = 64 * 1024 * 1024;
/** Nesting of JSON: models in models, four levels each. */
const MAX_DEPTH = 128;
/** Objects of classes; a thousand layers with their initialisers have ten thousand. */
const MAX_NODES = 1_000_000;
/** Names of classes and layers repeated in notes. */
const MAX_TOLD = 20;

/** An object that a configuration describes: a model, a layer, an initialiser … */
export interface KerasNode {
  /** As the file gives it: `Conv2D`. */
  readonly className: string;
  readonly name?: string;
  /** What it is called in the configuration of what it belongs to: `layers`, `layer`, `cell` … */
  readonly key: string;
  readonly groups?: number;
  /** Of an EinsumDense. */
  readonly equation?: string;
  /** Of normalisations: whether there is a gamma, and a beta. */
  readonly scale?: boolean;
  readonly center?: boolean;
  readonly children: readonly KerasNode[];
  /** Place among all nodes, in the order of the configuration. */
  readonly order: number;
}

/** What a configuration tells of a model. None of it is ever carried out. */
export interface KerasConfig {
  readonly model: KerasNode;
  /** Layers and functions whose Python code is in the configuration as bytes (`Lambda`), at most a few. */
  readonly code: readonly string[];
  /** Classes outside Keras, which Keras would import when it loads the model, at most a few. */
  readonly foreign: readonly string[];
}

/**
 * Reads the configuration of a Keras model (`config.json`, or the attribute `model_config`).
 *
 * @throws CheckpointError when it is not one
 */
export function parseKerasConfig(bytes: Uint8Array): KerasConfig {
  if (bytes.length > MAX_CONFIG_BYTES)
    throw new CheckpointError('unsupported', `a configuration of ${bytes.length} bytes`);
  const parser = new ConfigParser(new JsonReader(bytes));
  const model = parser.parse();
  if (model === undefined) throw new CheckpointError('malformed', 'a configuration of no model');
  // A layer's name says more than that there is a function in it.
  const code = parser.code.size > 0 ? [...parser.code] : parser.functions.slice(0, 1);
  return { model, code, foreign: [...parser.foreign] };
}

/** An object's members that matter, and the nodes in it. */
interface Members {
  className?: string;
  module?: string;
  name?: string;
  groups?: number;
  equation?: string;
  scale?: boolean;
  center?: boolean;
  config?: Members;
  readonly nodes: KerasNode[];
}

class ConfigParser {
  readonly code = new Set<string>();
  readonly foreign = new Set<string>();
  readonly functions: string[] = [];
  private count = 0;

  constructor(private readonly json: JsonReader) {}

  parse(): KerasNode | undefined {
    const members = this.value('', 0);
    this.json.end();
    return members.nodes[0];
  }

  /** @param key that the value stands under, for the nodes in it */
  private value(key: string, depth: number): Members {
    if (depth > MAX_DEPTH) throw this.json.error(`nested deeper than ${MAX_DEPTH} levels`);
    const kind = this.json.kind();
    if (kind === 'object') return this.object(key, depth);
    const members: Members = { nodes: [] };
    if (kind === 'array') {
      this.json.array(() => {
        members.nodes.push(...this.value(key, depth + 1).nodes);
      });
    } else this.json.skip();
    return members;
  }

  private object(key: string, depth: number): Members {
    const members: Members = { nodes: [] };
    // Parents come before what is in them.
    const order = this.count++;
    if (order > MAX_NODES) throw new CheckpointError('unsupported', `more than ${MAX_NODES} objects`);
    this.json.object((member) => {
      if (!this.scalar(members, member)) {
        const inner = this.value(member, depth + 1);
        if (member === 'config') members.config = inner;
        else members.nodes.push(...inner.nodes);
      }
    });
    const { className, config } = members;
    if (className === undefined) return members;
    const name = config?.name ?? members.name;
    this.warn(className, members.module, name);
    if (config === undefined) return { nodes: [] };
    const { groups, equation, scale, center, nodes } = config;
    const node: KerasNode = {
      className,
      key,
      children: nodes,
      order,
      ...(name !== undefined && { name }),
      ...(groups !== undefined && { groups }),
      ...(equation !== undefined && { equation }),
      ...(scale !== undefined && { scale }),
      ...(center !== undefined && { center }),
    };
    return { nodes: [node] };
  }

  /** Reads a member that is kept as it is; false for all others. */
  private scalar(members: Members, member: string): boolean {
    const kind = this.json.kind();
    if (kind === 'string') {
      if (member === 'class_name') members.className = this.json.string();
      else if (member === 'module') members.module = this.json.string();
      else if (member === 'name') members.name = this.json.string();
      else if (member === 'equation') members.equation = this.json.string();
      else return false;
      return true;
    }
    if (kind === 'number' && member === 'groups') {
      members.groups = this.json.number();
      return true;
    }
    if ((kind === 'boolean' || kind === 'null') && (member === 'scale' || member === 'center')) {
      // `scale` may also be null, or a number for other classes.
      const value = this.json.word();
      if (value === 'true' || value === 'false') members[member] = value === 'true';
      return true;
    }
    return false;
  }

  private warn(className: string, module: string | undefined, name: string | undefined): void {
    if (className === 'Lambda') tell(this.code, name ?? className);
    if (className === '__lambda__') this.functions.push('a lambda function');
    const isKeras = module === undefined || /^(?:keras|tf_keras|builtins|tensorflow)(?:\.|$)/.test(module);
    if (!isKeras) tell(this.foreign, `${module}.${className}`);
  }
}

function tell(names: Set<string>, name: string): void {
  if (names.size < MAX_TOLD) names.add(name);
}
