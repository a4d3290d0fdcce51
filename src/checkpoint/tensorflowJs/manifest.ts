/** `model.json` of TensorFlow.js, and the manifest of weights in it (`weightsManifest` of tfjs-core's io/types.ts). */
import path from 'node:path';
import { CheckpointError, printable } from '../errors';
import { type RandomAccessFile, withFile } from '../file';

/** Topologies of the largest models have a few megabytes. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;

export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** As the file has it. */
  readonly dtype: string;
  readonly quantization?: { readonly dtype: string; readonly min?: number; readonly scale?: number };
}

/** Weights one after the other in the bytes of some files, one after the other. */
export interface WeightGroup {
  /** Beside or below the model's file, by their names; whether they are there and no links is not known yet. */
  readonly paths: readonly string[];
  readonly specs: readonly WeightSpec[];
}

/** Plain JSON of an object; its keys are the file's. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The object in a model's file. @throws CheckpointError naming the file */
export async function readModelJson(file: string): Promise<JsonObject> {
  const text = await withFile(file, (opened) => readText(opened));
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

async function readText(opened: RandomAccessFile): Promise<string> {
  if (opened.size > MAX_JSON_BYTES)
    throw malformed(opened.path, `${opened.size} bytes of JSON are no model.json`);
  return Buffer.from(await opened.read(0, opened.size)).toString('utf8');
}

/** One item of a manifest. @throws CheckpointError `malformed` naming what is wrong with it */
export function readGroup(group: unknown, file: string): WeightGroup {
  if (!isObject(group) || !Array.isArray(group.paths) || !Array.isArray(group.weights))
    throw malformed(file, 'weightsManifest: a group without "paths" and "weights"');
  const paths: readonly unknown[] = group.paths;
  const weights: readonly unknown[] = group.weights;
  const specs = weights.map((weight) => readSpec(weight, file));
  return { paths: paths.map((one) => shardPath(one, file)), specs };
}

/** Shards lie in the model's folder or below: a path that leads elsewhere was made to read something else. */
function shardPath(given: unknown, file: string): string {
  const folder = path.dirname(file);
  const resolved = typeof given === 'string' && given !== '' ? path.resolve(folder, given) : folder;
  const relative = path.relative(folder, resolved);
  const isInside = relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative);
  if (isInside && !resolved.includes('\0')) return resolved;
  throw malformed(file, `weightsManifest: the path ${inWords(given)} leaves the model's folder`);
}

function readSpec(weight: unknown, file: string): WeightSpec {
  const fail = (what: string): CheckpointError => malformed(file, `weightsManifest: ${what}`);
  if (!isObject(weight) || typeof weight.name !== 'string') throw fail('a weight without a name');
  const { name, shape, dtype, quantization } = weight;
  const sizes: readonly unknown[] = Array.isArray(shape) ? shape : [undefined];
  const isSize = (size: unknown): size is number =>
    typeof size === 'number' && Number.isSafeInteger(size) && size >= 0;
  if (!sizes.every(isSize)) throw fail(`"${printable(name)}" has no shape`);
  if (typeof dtype !== 'string') throw fail(`"${printable(name)}" has elements of type ${inWords(dtype)}`);
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

/** A value of the wrong kind for a message: never as a whole, as text of what nests a thousand deep cannot be made. */
function inWords(value: unknown): string {
  if (typeof value === 'string') return `"${printable(value)}"`;
  if (Array.isArray(value)) return '(a list)';
  if (typeof value === 'object' && value !== null) return '(an object)';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return value === null ? 'null' : '(nothing)';
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(file: string, reason: string): CheckpointError {
  return new CheckpointError('malformed', reason, { file });
}
