import { CheckpointError } from '../../checkpoint/errors';
import type { Layer, LayersModel, SymbolicTensor, TensorFlow } from './load';

/** One call of one layer. Values are numbered; the network's input is 0. */
export interface Step {
  readonly layer: Layer;
  readonly inputs: readonly number[];
  readonly output: number;
  /** Of the output, without the batch; null where the data decides. */
  readonly outputShape: readonly (number | null)[];
}

/** A model as a list of calls in an order in which they can be made; nested models are unfolded. */
export interface Graph {
  readonly steps: readonly Step[];
  /** The value that the network gives out. */
  readonly output: number;
  /** Step after which a value is not needed any more, by value. */
  readonly lastUse: readonly number[];
  /**
   * By step: the only value that this step and later ones still need from before, so that the network can be continued
   * from it; undefined where there are several. The last entry is the output's.
   */
  readonly cuts: readonly (number | undefined)[];
}

/** Networks that people measure have some thousand layers. */
const MAX_STEPS = 100_000;

/** @throws CheckpointError for models of several inputs or outputs, and for what cannot be run layer by layer */
export function graphOf(tf: TensorFlow, model: LayersModel, file: string): Graph {
  const [input, anotherInput] = model.inputs;
  const [output, anotherOutput] = model.outputs;
  const fail = (reason: string): CheckpointError => new CheckpointError('unsupported', reason, { file });
  if (input === undefined || anotherInput !== undefined)
    throw fail(`the model has ${model.inputs.length} inputs: only models of one are measured`);
  if (output === undefined || anotherOutput !== undefined)
    throw fail(`the model has ${model.outputs.length} outputs: only models of one are measured`);
  const builder = new GraphBuilder(tf, fail);
  const last = builder.value(output, new Map([[input.id, 0]]));
  return { ...builder.finish(last), output: last };
}

class GraphBuilder {
  private readonly steps: Step[] = [];
  private values = 1;

  constructor(
    private readonly tf: TensorFlow,
    private readonly fail: (reason: string) => CheckpointError,
  ) {}

  /** Number of a symbolic tensor's value, after the calls that it needs. @param known values of the model at hand */
  value(tensor: SymbolicTensor, known: Map<number, number>): number {
    const found = known.get(tensor.id);
    if (found !== undefined) return found;
    const { sourceLayer: layer, nodeIndex } = tensor;
    const node = layer.inboundNodes[nodeIndex];
    if (node === undefined) throw this.fail(`the layer "${layer.name}" is not connected`);
    if (node.inputTensors.length === 0) throw this.fail('the model has an input of its own inside');
    const inputs = node.inputTensors.map((input) => this.value(input, known));
    const value =
      layer instanceof this.tf.LayersModel ? this.inside(layer, inputs) : this.call(layer, tensor, inputs);
    known.set(tensor.id, value);
    return value;
  }

  private inside(model: LayersModel, inputs: readonly number[]): number {
    const [output] = model.outputs;
    if (output === undefined || model.outputs.length > 1)
      throw this.fail(`the model "${model.name}" inside it has several outputs`);
    return this.value(output, new Map(model.inputs.map(({ id }, i) => [id, inputs[i] ?? 0])));
  }

  private call(layer: Layer, tensor: SymbolicTensor, inputs: readonly number[]): number {
    if (layer.inboundNodes[tensor.nodeIndex]?.outputTensors.length !== 1)
      throw this.fail(`the layer "${layer.name}" has several outputs`);
    if (makesMasks(layer))
      throw this.fail(
        `the layer "${layer.name}" masks its inputs, which is not followed: export the model to ONNX`,
      );
    if (this.steps.length >= MAX_STEPS) throw this.fail(`more than ${MAX_STEPS} layers`);
    const output = this.values++;
    this.steps.push({ layer, inputs, output, outputShape: tensor.shape.slice(1) });
    return output;
  }

  finish(output: number): Pick<Graph, 'steps' | 'lastUse' | 'cuts'> {
    const { steps } = this;
    const lastUse = new Array<number>(this.values).fill(-1);
    const madeBy = new Array<number>(this.values).fill(-1);
    steps.forEach((step, index) => {
      madeBy[step.output] = index;
      for (const input of step.inputs) lastUse[input] = index;
    });
    lastUse[output] = steps.length;
    return { steps, lastUse, cuts: cutsOf(steps.length, madeBy, lastUse) };
  }
}

/** By step, the only value alive before it. */
function cutsOf(
  steps: number,
  madeBy: readonly number[],
  lastUse: readonly number[],
): readonly (number | undefined)[] {
  const alive = new Array<number>(steps + 1).fill(0);
  const one = new Array<number>(steps + 1).fill(0);
  // Each value lives from the step after its own to its last use; sums instead of a walk a value.
  const count = new Int32Array(steps + 2);
  const sum = new Float64Array(steps + 2);
  madeBy.forEach((made, value) => {
    const last = lastUse[value] ?? -1;
    if (last <= made) return;
    count[made + 1] = (count[made + 1] ?? 0) + 1;
    sum[made + 1] = (sum[made + 1] ?? 0) + value;
    count[last + 1] = (count[last + 1] ?? 0) - 1;
    sum[last + 1] = (sum[last + 1] ?? 0) - value;
  });
  let [values, total] = [0, 0];
  for (let step = 0; step <= steps; step++) {
    values += count[step] ?? 0;
    total += sum[step] ?? 0;
    alive[step] = values;
    one[step] = total;
  }
  return alive.map((living, step) => (living === 1 ? one[step] : undefined));
}

function makesMasks(layer: Layer): boolean {
  const name = layer.getClassName();
  return name === 'Masking' || (name === 'Embedding' && layer.getConfig().maskZero === true);
}
