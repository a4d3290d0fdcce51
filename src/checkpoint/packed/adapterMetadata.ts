/** Adapters of Rankscope's own training: `training/modelFile.ts` writes what is read here; change both together. */
import { CheckpointError } from '../errors';
import { JsonReader } from '../json';
import { MAX_AXES, requireShape } from '../layout';

/** The metadata's key; its value is JSON text. */
export const TRAINED_ADAPTERS_KEY = 'rankscope.adapters';

/** One adapter, as its file says. */
export interface TrainedAdapter {
  readonly kind: string;
  readonly rank: number;
  /** Absent: α = r. */
  readonly alpha?: number;
  /** Of the sine form, ΔW = (α/r)·sin(ω·B·A)/g. */
  readonly omega?: number;
  readonly gain?: number;
  /** Of the weight; files of earlier versions do not say. */
  readonly shape?: readonly number[];
}

/**
 * Adapters by the names of the weights that they change.
 *
 * @throws CheckpointError `malformed`
 */
export function parseTrainedAdapters(text: string): Map<string, TrainedAdapter> {
  const json = new JsonReader(Buffer.from(text, 'utf8'));
  const adapters = new Map<string, TrainedAdapter>();
  json.array(() => {
    const { name, adapter } = parseOne(json);
    if (adapters.has(name)) throw json.error(`two adapters of "${name}"`);
    adapters.set(name, adapter);
  });
  json.end();
  return adapters;
}

function parseOne(json: JsonReader): { readonly name: string; readonly adapter: TrainedAdapter } {
  let [name, kind] = ['', ''];
  let rank = 0;
  const numbers = new Map<string, number>();
  let shape: number[] | undefined;
  json.object((key) => {
    if (key === 'name') name = json.string();
    else if (key === 'kind') kind = json.string();
    else if (key === 'rank') rank = json.count();
    else if (key === 'alpha' || key === 'omega' || key === 'gain') numbers.set(key, positive(json, key));
    else if (key === 'shape') shape = sizes(json);
    else json.skip();
  });
  const [alpha, omega, gain] = ['alpha', 'omega', 'gain'].map((key) => numbers.get(key));
  return {
    name,
    adapter: {
      kind,
      rank,
      ...(alpha !== undefined && { alpha }),
      ...(omega !== undefined && { omega }),
      ...(gain !== undefined && { gain }),
      ...(shape !== undefined && { shape: requireShape(shape, 4) }),
    },
  };
}

function positive(json: JsonReader, key: string): number {
  const value = json.number();
  if (!(value > 0 && value < Infinity)) throw new CheckpointError('malformed', `${key} is ${value}`);
  return value;
}

function sizes(json: JsonReader): number[] {
  const values: number[] = [];
  json.array(() => {
    if (values.length >= MAX_AXES) throw json.error(`more than ${MAX_AXES} axes`);
    values.push(json.count());
  });
  return values;
}
