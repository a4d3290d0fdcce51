/** `model.json` of a TF.js layers model, and the weights beside it: everything checked before TensorFlow.js sees it. */
import { createHash } from 'node:crypto';
import { CheckpointError, printable } from '../../checkpoint/errors';
import { withFile } from '../../checkpoint/file';
import {
  type WeightGroup,
  type WeightSpec,
  isObject,
  readGroup,
  readModelJson,
} from '../../checkpoint/tensorflowJs/manifest';

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
  const model = await readModelJson(file);
  const topology = model.modelTopology;
  if (model.format === 'graph-model' || (isObject(topology) && 'node' in topology))
    throw new CheckpointError('unsupported', GRAPH_MODEL, { file });
  if (!isObject(topology) || !Array.isArray(model.weightsManifest))
    throw malformed(file, 'no TensorFlow.js layers model: "modelTopology" and "weightsManifest" are missing');
  const manifest: readonly unknown[] = model.weightsManifest;
  const groups = manifest.map((group) => sizedGroup(readGroup(group, file), file));
  const specs = groups.flatMap((group) => group.specs);
  const parts: Uint8Array[] = [];
  for (const group of groups) parts.push(await readShards(group, file));
  const all = Buffer.concat(parts);
  const weights = new Uint8Array(all).buffer;
  const elements = specs.reduce((sum, { shape }) => sum + count(shape), 0);
  const identity = createHash('sha256').update(JSON.stringify(topology)).update(all).digest('hex');
  return { path: file, topology, specs, weights, elements, identity };
}

interface SizedGroup extends WeightGroup {
  readonly bytes: number;
}

function sizedGroup({ paths, specs }: WeightGroup, file: string): SizedGroup {
  const bytes = specs.reduce((sum, spec) => sum + storedBytes(spec, file), 0);
  if (paths.length > MAX_SHARDS || bytes > MAX_WEIGHT_BYTES)
    throw new CheckpointError('unsupported', `${bytes} bytes of weights in ${paths.length} files`, { file });
  return { paths, specs, bytes };
}

function storedBytes({ name, shape, dtype, quantization }: WeightSpec, file: string): number {
  if (!Object.hasOwn(STORED_BYTES, dtype)) {
    const type = printable(JSON.stringify(dtype));
    throw malformed(file, `weightsManifest: "${printable(name)}" has elements of type ${type}`);
  }
  const size = STORED_BYTES[quantization?.dtype ?? dtype];
  if (size === undefined)
    throw malformed(file, `weightsManifest: "${printable(name)}" is quantised to an unknown type`);
  const bytes = count(shape) * size;
  if (bytes > MAX_WEIGHT_BYTES)
    throw malformed(file, `weightsManifest: "${printable(name)}" needs ${bytes} bytes`);
  return bytes;
}

/** The bytes of a group's files, which must be as many as its weights need. */
async function readShards({ paths, bytes }: SizedGroup, file: string): Promise<Uint8Array> {
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

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function malformed(file: string, reason: string): CheckpointError {
  return new CheckpointError('malformed', reason, { file });
}
