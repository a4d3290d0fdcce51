import { TRAINING_OMEGA } from '../../lowrank/initialise';
import type { ConvolutionGeometry } from '../tfjs/patches';
import type { Architecture, BuiltinLayer, ChooseForm, LayerFacts, Parameter } from './architecture';
import type { Block } from './blocks/block';
import type { LayerForm } from './recipe';
import {
  adapterStart,
  denseStart,
  factorStart,
  gainOf,
  seedOf,
  startingValues,
  type Start,
  type WeightLaw,
} from './starts';
import { arraysOf, type Weight, type WeightArray } from './weight';

export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly start: Start;
  /** Default: trained. */
  readonly kind?: Parameter['kind'];
  /** Default: no. */
  readonly decays?: boolean;
  /** Of the output layer: see `ArchitectureBuilder.build`. */
  readonly isHead?: boolean;
}

export interface WeightSpec {
  /** Of the weight; its bias has the same path. */
  readonly name: string;
  readonly kind: BuiltinLayer['kind'];
  readonly weightShape: readonly number[];
  /** Default 1. */
  readonly groups?: number;
  readonly law: WeightLaw;
  /** Absent: no bias. */
  readonly bias?: Start;
  /** Takes a form where none is asked for by name; default: no. */
  readonly isInner?: boolean;
  /** Gives the network's output; default: no. */
  readonly isHead?: boolean;
  readonly positions: number;
  readonly geometry?: ConvolutionGeometry;
}

/** What a network is, beside its parameters and layers. */
export type NetworkFacts = Pick<Architecture, 'title' | 'input' | 'inputType' | 'output'>;

/** Collects parameters and layers of a network while its blocks are made, in the order in which they run. */
export class ArchitectureBuilder {
  private readonly parameters: { readonly parameter: Parameter; readonly staysTrained: boolean }[] = [];
  private readonly layers: BuiltinLayer[] = [];
  private readonly names = new Set<string>();
  private dropouts = 0;

  constructor(private readonly chooseForm: ChooseForm) {}

  /** An array that is no weight of a layer. @returns its name */
  parameter({ name, shape, start, kind = 'trained', decays = false, isHead = false }: ParameterSpec): string {
    const count = shape.reduce((product, size) => product * size, 1);
    const initial = (seed: number): Float32Array => startingValues(start, count, seedOf(seed, name));
    this.add({ name, shape, kind, decays, initial }, isHead);
    return name;
  }

  /**
   * The weight of a linear or convolution layer, in the form that is chosen for it, and its bias.
   *
   * @throws Error when the form does not fit the layer
   */
  layer(spec: WeightSpec): { readonly weight: Weight; readonly bias?: string } {
    const {
      name,
      kind,
      weightShape,
      groups = 1,
      isInner = false,
      isHead = false,
      positions,
      geometry,
    } = spec;
    const [outputs = 0, ...inputs] = weightShape;
    const shape = [outputs / groups, inputs.reduce((product, size) => product * size, 1)] as const;
    const facts: LayerFacts = { name, kind, shape, groups, weightShape, isInner };
    const form = fitting(facts, this.chooseForm(facts));
    const { omega, gain, scale } = scalarsOf(form, shape[1], spec.law);
    const weight = { layer: this.layers.length, name, shape, groups, weightShape, form, omega, gain, scale };
    for (const array of arraysOf(weight)) this.addArray(weight, array, spec.law, isHead);
    const bias = spec.bias && {
      bias: this.parameter({
        name: name.replace(/weight$/, 'bias'),
        shape: [outputs],
        start: spec.bias,
        isHead,
      }),
    };
    const isSine = form.kind === 'sine' || form.kind === 'sine-lora';
    this.layers.push({
      ...facts,
      ...bias,
      form,
      ...(isSine && { omega, gain }),
      positions,
      ...(geometry && { geometry }),
    });
    return { weight, ...bias };
  }

  /** Tells one dropout from another, so that each has masks of its own. */
  dropout(): number {
    return this.dropouts++;
  }

  /**
   * The network. Where a layer has an adapter, only adapters, factors and the output layer are trained: everything else
   * stays as it was before (Hu et al., "LoRA", 2021, §4.2).
   */
  build(facts: NetworkFacts, body: Block): Architecture {
    const hasAdapters = this.layers.some(({ form }) => isAdapted(form));
    const parameters = this.parameters.map(({ parameter, staysTrained }) =>
      hasAdapters && !staysTrained && parameter.kind === 'trained'
        ? { ...parameter, kind: 'frozen' as const }
        : parameter,
    );
    return {
      ...facts,
      layers: this.layers,
      parameters,
      forward: (tf, values, input, pass) => body({ tf, values, pass }, input),
    };
  }

  private addArray(
    weight: Weight,
    { role, name, shape }: WeightArray,
    law: WeightLaw,
    isHead: boolean,
  ): void {
    const initial = (seed: number): Float32Array => {
      switch (role) {
        case 'W':
          return denseStart(weight, law, seed);
        case 'U':
        case 'V':
          return factorStart(weight, law, role, seed);
        case 'A':
          return adapterStart(weight, seed);
        case 'B':
          return new Float32Array(shape.reduce((product, size) => product * size, 1));
      }
    };
    const isFrozen = role === 'W' && isAdapted(weight.form);
    this.add(
      { name, shape, kind: isFrozen ? 'frozen' : 'trained', decays: true, initial },
      role !== 'W' || isHead,
    );
  }

  private add(parameter: Parameter, staysTrained: boolean): void {
    if (this.names.has(parameter.name)) throw new Error(`two parameters are called "${parameter.name}"`);
    this.names.add(parameter.name);
    this.parameters.push({ parameter, staysTrained });
  }
}

function isAdapted({ kind }: LayerForm): boolean {
  return kind === 'lora' || kind === 'sine-lora';
}

/** ω, g and α/k. The defaults: {@link TRAINING_OMEGA}, {@link gainOf} the law for weights, √n for adapters, and α = k. */
function scalarsOf(form: LayerForm, n: number, law: WeightLaw): Pick<Weight, 'omega' | 'gain' | 'scale'> {
  const isSine = form.kind === 'sine' || form.kind === 'sine-lora';
  return {
    omega: isSine ? (form.omega ?? TRAINING_OMEGA) : 1,
    gain: isSine ? (form.gain ?? (form.kind === 'sine' ? gainOf(law, n) : Math.sqrt(n))) : 1,
    scale: form.kind === 'lora' || form.kind === 'sine-lora' ? (form.alpha ?? form.rank) / form.rank : 1,
  };
}

function fitting({ name, shape: [m, n] }: LayerFacts, form: LayerForm): LayerForm {
  if (form.kind === 'dense') return form;
  const { rank } = form;
  const most = Math.min(m, n);
  if (!Number.isSafeInteger(rank) || rank < 1)
    throw new Error(`the rank of layer "${name}" is ${rank}: a whole number from 1 to ${most} is needed`);
  if (rank > most)
    throw new Error(
      `rank ${rank} is too large for layer "${name}", which is ${m} × ${n}: it is at most ${most}; give the layer a form of its own`,
    );
  for (const [what, value] of Object.entries({ omega: 1, gain: 1, alpha: 1, ...form })) {
    const isScalar = what === 'omega' || what === 'gain' || what === 'alpha';
    if (isScalar && typeof value === 'number' && !(Number.isFinite(value) && value > 0))
      throw new Error(`${what} of layer "${name}" is ${value}: a number above 0 is needed`);
  }
  return form;
}
