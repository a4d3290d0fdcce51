/** What the architecture in a `model.json` says of its weights. */
import type { ModuleHint } from '../checkpoint';
import { layersModules } from './layersTopology';
import { graphModules } from './graphTopology';
import { isObject, type WeightSpec } from './manifest';

/** What the file says of the module that a weight belongs to. */
export type FindModule = (weight: WeightSpec) => ModuleHint | undefined;

export interface Topology {
  /** For people: `layers model`, `graph model`, `weights`. */
  readonly kind: string;
  readonly module: FindModule;
}

/** @param topology plain JSON; what is unknown in it is passed over, since weights can do without */
export function readTopology(topology: unknown): Topology {
  if (isObject(topology) && Array.isArray(topology.node))
    return { kind: 'graph model', module: graphModules(topology.node) };
  if (isObject(topology)) return { kind: 'layers model', module: layersModules(topology) };
  return { kind: 'weights', module: () => undefined };
}
