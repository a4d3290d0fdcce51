/** `model.json` of a TF.js layers model, and the weights beside it: everything checked before TensorFlow.js sees it. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { CheckpointError, printable } from '../../checkpoint/errors';
import { withFile } from '../../checkpoint/file';

/** Topologies of the largest models have a few megabytes. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;
/** All weights are held at once, in 32-bit WebAssembly memory besides. */
const MAX_WEIGHT_BYTES = 2 ** 31 - 1;
const MAX_SHARDS = 10_000;

const GRAPH_MODEL =
  'a TensorFlow.js graph model, whose weights cannot be told from its operations: convert the original with tensorflowjs_converter --output_format=tfjs_layers_model, or export it to ONNX';

/** Bytes of a weight's element as it is stored. */
const STORED_BYTES: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  uint8: 1,
  bool: 1,
  uint16: 2,
  float16: 2,
};

export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: { readonly dtype: string; readonly min?: number; readonly scale?: number };
}

export interface ModelFile {
  readonly path: string;
  /** Plain JSON of the architecture. */
  readonly topology: Readonly<Record<string, unknown>>;
  readonly specs: readonly WeightSpec[];
  /** Values of all weights, one after the other. */
  readonly weights: ArrayBuffer;
  /** Elements of all weights. */
  readonly elements: number;
  /** Hex sha256 of the topology and the weights. */
  readonly identity: string;
}

/** @throws CheckpointError naming the file and what to do */
export async function readModelFile(file: string): Promise<ModelFile> {
  const text = await withFile(file, async (opened) => {
    if (opened.size > MAX_JSON_BYTES) throw malformed(file, `${opened.size} bytes of JSON are no model.json`);
    return Buffer.from(await opened.read(0, opened.size)).toString('utf8');
  });
  const model = parseJson(text, file);
  const topology = model.modelTopology;
  if (model.format === 'graph-model' || (isObject(topology) && 'node' in topology))
    throw new CheckpointError('unsupported', GRAPH_MODEL, { file });
  if (!isObject(topology) || !Array.isArray(model.weightsManifest))
    throw malformed(file, 'no TensorFlow.js layers model: "modelTopology" and "weightsManifest" are missing');
  const manifest: readonly unknown[] = model.weightsManifest;
  const groups = manifest.map((group) => readGroup(group, file));
  const specs = groups.flatMap((group) => group.specs);
  const parts: Uint8Array[] = [];
  for (const group of groups) parts.push(await readShards(group, file));
  const all = Buffer.concat(parts);
  const weights = new Uint8Array(all).buffer;
  const elements = specs.reduce((sum, { shape }) => sum + count(shape), 0);
  const identity = createHash('sha256').update(JSON.stringify(topology)).update(all).digest('hex');
  return { path: file, topology, specs, weights, elements, identity };
}

interface WeightGroup {
  readonly paths: readonly string[];
  readonly specs: readonly WeightSpec[];
  readonly bytes: number;
}

function readGroup(group: unknown, file: string): WeightGroup {
  if (!isObject(group) || !Array.isArray(group.paths) || !Array.isArray(group.weights))
    throw malformed(file, 'weightsManifest: a group without "paths" and "weights"');
  const paths: readonly unknown[] = group.paths;
  const weights: readonly unknown[] = group.weights;
  const specs = weights.map((weight) => readSpec(weight, file));
  const bytes = specs.reduce((sum, spec) => sum + storedBytes(spec, file), 0);
  if (paths.length > MAX_SHARDS || bytes > MAX_WEIGHT_BYTES)
    throw new CheckpointError('unsupported', `${bytes} bytes of weights in ${paths.length} files`, { file });
  return { paths: paths.map((one) => shardPath(one, file)), specs, bytes };
}

/** Shards lie in the model's folder or below: a path that leads elsewhere was made to read something else. */
function shardPath(given: unknown, file: string): string {
  const folder = path.dirname(file);
  const resolved = typeof given === 'string' && given !== '' ? path.resolve(folder, given) : folder;
  const relative = path.relative(folder, resolved);
  const isInside = relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative);
  if (isInside && !String(given).includes('\0')) return resolved;
  throw malformed(file, `weightsManifest: the path "${printable(String(given))}" leaves the model's folder`);
}

function readSpec(weight: unknown, file: string): WeightSpec {
  const fail = (what: string): CheckpointError => malformed(file, `weightsManifest: ${what}`);
  if (!isObject(weight) || typeof weight.name !== 'string') throw fail('a weight without a name');
  const { name, shape, dtype, quantization } = weight;
  const sizes: readonly unknown[] = Array.isArray(shape) ? shape : [undefined];
  const isSize = (size: unknown): size is number =>
    typeof size === 'number' && Number.isSafeInteger(size) && size >= 0;
  if (!sizes.every(isSize)) throw fail(`"${printable(name)}" has no shape`);
  if (typeof dtype !== 'string' || !(dtype in STORED_BYTES))
    throw fail(`"${printable(name)}" has elements of type ${printable(JSON.stringify(dtype))}`);
  if (quantization === undefined) return { name, shape: sizes, dtype };
  if (!isObject(quantization) || typeof quantization.dtype !== 'string')
    throw fail(`"${printable(name)}" is quantised without a type`);
  const { min, scale } = quantization;
  return {
    name,
    shape: sizes,
    dtype,
    quantization: {
      dtype: quantization.dtype,
      ...(typeof min === 'number' && { min }),
      ...(typeof scale === 'number' && { scale }),
    },
  };
}

function storedBytes({ name, shape, dtype, quantization }: WeightSpec, file: string): number {
  const size = STORED_BYTES[quantization?.dtype ?? dtype];
  if (size === undefined)
    throw malformed(file, `weightsManifest: "${printable(name)}" is quantised to an unknown type`);
  const bytes = count(shape) * size;
  if (bytes > MAX_WEIGHT_BYTES)
    throw malformed(file, `weightsManifest: "${printable(name)}" needs ${bytes} bytes`);
  return bytes;
}

/** The bytes of a group's files, which must be as many as its weights need. */
async function readShards({ paths, bytes }: WeightGroup, file: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let left = bytes;
  for (const shard of paths) {
    const part = await withFile(shard, (opened) => {
      if (opened.size > left)
        throw malformed(shard, `${opened.size} bytes, but model.json needs ${left} more`);
      return opened.read(0, opened.size);
    });
    left -= part.length;
    parts.push(part);
  }
  if (left > 0) throw malformed(file, `the weight files are ${left} bytes shorter than the weights need`);
  return Buffer.concat(parts);
}

function parseJson(text: string, file: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(
      'malformed',
      `not valid JSON: ${printable(detail)}`,
      { file },
      { cause: error },
    );
  }
  if (!isObject(value)) throw malformed(file, 'no TensorFlow.js model: the JSON is no object');
  return value;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function malformed(file: string, reason: string): CheckpointError {
  return new CheckpointError('malformed', reason, { file });
}
