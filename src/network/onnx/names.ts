import { createHash } from 'node:crypto';
import type { Checkpoint, Tensor } from '../../checkpoint/checkpoint';
import { elementCount } from '../../checkpoint/checkpoint';
import { printable } from '../../checkpoint/errors';
import { openCheckpoint } from '../../checkpoint/open';
import { readTensorBytes } from '../../checkpoint/tensorData';
import { countOf } from '../../checkpoint/wording';
import { float16ToNumber } from './float16';
import type { GraphIndex } from './graph';
import type { FoundLayer } from './layers';
import { readWeight } from './weight';

/** Names that exporters make up when they computed a weight anew: `onnx::MatMul_123`, `417`, `val_12`. */
const MADE_UP = /^(?:onnx::|\d+$|val_\d+$|_val_\d+$|const_fold|.*_output_\d+$|.*__\d+$|.*\/Transpose)/;

/** Names of the layers without a checkpoint: their weights' names, or what the exporter left of them elsewhere. */
export function layerNames(graph: GraphIndex, layers: readonly FoundLayer[]): string[] {
  const taken = new Set<string>();
  return layers.map((layer) => {
    const wanted = ownName(graph, layer);
    const name = taken.has(wanted) ? layer.weight.name : wanted;
    taken.add(name);
    return name;
  });
}

function ownName(graph: GraphIndex, { weight, biasName, uses }: FoundLayer): string {
  if (!MADE_UP.test(weight.name)) return weight.name;
  if (biasName?.endsWith('.bias') === true) return biasName.replace(/bias$/, 'weight');
  const path = modulePath(graph.nodes[uses[0]?.node ?? -1]?.name ?? '');
  return path === '' ? weight.name : `${path}.weight`;
}

/** `/layer1/layer1.0/conv1/Conv` is the node of the module `layer1.0.conv1`. */
function modulePath(nodeName: string): string {
  const parts = nodeName.split('/').filter((part) => part !== '');
  const modules = parts.slice(0, -1);
  return modules
    .reduce((path, part) => {
      if (path === '') return part;
      const last = path.slice(path.lastIndexOf('/') + 1);
      return part.startsWith(`${last}.`) ? `${path.slice(0, -last.length)}${part}` : `${path}/${part}`;
    }, '')
    .replaceAll('/', '.');
}

/**
 * Names of a checkpoint for layers with the same values: equal to the last bit in float32, as they are or transposed.
 * Layers without a counterpart keep the name they have, with a note that says why that happens.
 *
 * @throws CheckpointError when the checkpoint cannot be read, and when no layer is found in it.
 */
export async function matchNames(
  names: readonly string[],
  layers: readonly FoundLayer[],
  checkpointPath: string,
  signal: AbortSignal,
): Promise<{ readonly names: readonly string[]; readonly notes: readonly string[] }> {
  const checkpoint = await openCheckpoint(checkpointPath, signal);
  const known = await digests(checkpoint, layers, signal);
  const missing: string[] = [];
  const result: string[] = [];
  for (const [index, layer] of layers.entries()) {
    signal.throwIfAborted();
    const found = known.get(digestOf(Float32Array.from(await readWeight(layer.weight))));
    // Two tensors of the same values are taken in the order of the file.
    const name = found?.shift();
    if (name === undefined) missing.push(names[index] ?? layer.weight.name);
    result.push(name ?? names[index] ?? layer.weight.name);
  }
  if (missing.length === 0) return { names: result, notes: [] };
  const who = `${missing.length} of ${countOf(layers.length, 'layer')} ("${printable(missing[0] ?? '')}"${missing.length > 1 ? ' …' : ''})`;
  return {
    names: result,
    notes: [
      `${who} have no tensor of the same values in ${checkpointPath}, and keep the names of the ONNX model. When batch norms were folded into the weights, export again without that (torch.onnx.export(…, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)); otherwise the model and the checkpoint are of different runs.`,
    ],
  };
}

/** Names by the digest of their values, of tensors that may be one of the layers. */
async function digests(
  { tensors }: Checkpoint,
  layers: readonly FoundLayer[],
  signal: AbortSignal,
): Promise<Map<string, string[]>> {
  const sizes = new Set(layers.map(({ weight }) => elementCount(weight.shape)));
  const known = new Map<string, string[]>();
  for (const tensor of tensors) {
    signal.throwIfAborted();
    if (tensor.shape.length < 2 || !sizes.has(elementCount(tensor.shape))) continue;
    const values = await float32Values(tensor);
    if (values === undefined) continue;
    const digestsOfBoth = new Set([digestOf(values), digestOf(outFirst(values, tensor.shape))]);
    for (const digest of digestsOfBoth) known.set(digest, [...(known.get(digest) ?? []), tensor.name]);
  }
  return known;
}

async function float32Values(tensor: Tensor): Promise<Float32Array | undefined> {
  const { dtype } = tensor;
  if (dtype !== 'float32' && dtype !== 'float64' && dtype !== 'float16' && dtype !== 'bfloat16')
    return undefined;
  const { buffer, byteOffset, byteLength } = await readTensorBytes(tensor);
  if (dtype === 'float32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  if (dtype === 'float64') return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
  const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
  if (dtype === 'float16') return Float32Array.from(halves, float16ToNumber);
  return new Float32Array(Uint32Array.from(halves, (bits) => bits << 16).buffer);
}

/** The last axis first, and the one before it second: what in × out and k × k × in × out kernels become. */
function outFirst(values: Float32Array, shape: readonly number[]): Float32Array {
  const outputs = shape.at(-1) ?? 1;
  const inputs = shape.at(-2) ?? 1;
  const taps = values.length / (outputs * inputs);
  const turned = new Float32Array(values.length);
  let at = 0;
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++)
      for (let k = 0; k < taps; k++) turned[at++] = values[(k * inputs + i) * outputs + o] ?? 0;
  return turned;
}

function digestOf(values: Float32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return createHash('sha256').update(bytes).digest('base64');
}
