/**
 * What a file can do to whoever loads it, told without loading it: nothing in it is executed, imported or unpacked to
 * disk. `inspect` is the door; `judge.ts` and `dangerous.ts` say what names mean, the other files what formats hold.
 */
import path from 'node:path';
import { CheckpointError } from '../errors';
import { type RandomAccessFile, withFile } from '../file';
import { claimsCheckpoint, claimsPickle } from '../recognise';
import { latin1, rangeOfFile } from './byteRange';
import { inspectCompressed } from './compressed';
import { MAX_ALL_INFLATED_BYTES, MAX_DEPTH, MAX_PARTS, type Context, type Part } from './context';
import { inspectGguf } from './gguf';
import { inspectHdf5 } from './hdf5';
import { inspectJson } from './json';
import { kindOf, type Kind } from './kind';
import { inspectNpy } from './numpy';
import { inspectOnnx } from './onnx';
import { inspectPickles, inspectWholePickle, isOldPickle, searchBytes } from './pickles';
import { Report } from './report';
import { inspectSafetensors } from './safetensors';
import { inspectSevenZip } from './sevenZip';
import { inspectTar } from './tar';
import { inspectTensorflow } from './tensorflow';
import type { Inspection } from './verdict';
import { endsAsZip, inspectZip } from './zip';

export {
  LEVELS,
  MEANINGS,
  isAtLeast,
  type Finding,
  type Inspection,
  type Level,
  type NamedGlobal,
} from './verdict';

/**
 * Looks at a file. Time is bounded by the pickles and headers in it, memory by some hundred megabytes; tensors are
 * stepped over, so that a file of any size takes no longer for being large.
 *
 * @throws CheckpointError of kind `io` when the file cannot be read, `malformed` when it is empty.
 * @throws the signal's reason when it is aborted.
 */
export async function inspect(file: string, signal?: AbortSignal): Promise<Inspection> {
  signal?.throwIfAborted();
  return withFile(file, (opened) => inspectFile(opened, signal));
}

async function inspectFile(file: RandomAccessFile, signal: AbortSignal | undefined): Promise<Inspection> {
  if (file.size === 0) throw new CheckpointError('malformed', 'the file is empty', { file: file.path });
  const report = new Report();
  let looked = 0;
  const context: Context = {
    report,
    signal,
    budget: { inflated: MAX_ALL_INFLATED_BYTES },
    look: async (part) => {
      signal?.throwIfAborted();
      if (++looked > MAX_PARTS) report.find('unknown', 'limit', 'more parts than are looked at', '');
      else await lookAt(part, context);
    },
  };
  const whole: Part = { range: rangeOfFile(file), where: '', name: path.basename(file.path), depth: 0 };
  const format = await lookAt(whole, context);
  if (format === 'an index of shards') report.note('The shards are files of their own: inspect their folder');
  return report.finish(file.path, format, file.size);
}

/** Kinds that hold other files: within another one they are told. */
const ARCHIVES: ReadonlySet<Kind> = new Set<Kind>(['zip', 'tar', '7z', 'gzip']);

/** @returns what it is, for people. */
async function lookAt(part: Part, context: Context): Promise<string> {
  if (part.tensor === true) return lookAtTensor(part, context);
  const { report } = context;
  const kind = kindOf(part);
  if (part.depth > 0 && ARCHIVES.has(kind)) {
    report.find('suspicious', 'archive', 'an archive within an archive', part.where);
    if (part.depth > MAX_DEPTH) {
      report.find('unknown', 'limit', 'archives nested deeper than is looked at', part.where);
      return 'an archive';
    }
  }
  const format = await lookAs(kind, part, context);
  // Programs find a ZIP archive by its end: what begins as something else may be one as well.
  if (kind !== 'zip' && kind !== 'tar' && kind !== '7z' && endsAsZip(part.range)) {
    report.find('suspicious', 'archive', `it begins as ${format} and ends as a ZIP archive`, part.where);
    await inspectZip(part, context);
  }
  return format;
}

async function lookAs(kind: Kind, part: Part, context: Context): Promise<string> {
  switch (kind) {
    case 'zip':
      return lookAtZip(part, context);
    case 'tar':
      return inspectTar(part, context);
    case '7z':
      return inspectSevenZip(part, context);
    case 'gzip':
    case 'zlib':
      return inspectCompressed(part, kind, context);
    case 'npy':
      return inspectNpy(part, context);
    case 'safetensors':
      return inspectSafetensors(part, context);
    case 'gguf':
      return inspectGguf(part, context);
    case 'hdf5':
      return inspectHdf5(part, context);
    case 'onnx':
      return inspectOnnx(part, context);
    case 'tensorflow':
      return inspectTensorflow(part, context);
    case 'tflite':
      context.report.parts++;
      return 'TensorFlow Lite';
    case 'json':
      return inspectJson(part, context);
    case 'pickle':
      return lookAtPickle(part, context);
    default:
      return lookAtOther(kind, part, context);
  }
}

async function lookAtZip(part: Part, context: Context): Promise<string> {
  const format = (await inspectZip(part, context)) ?? 'a ZIP archive';
  if (format === 'PyTorch (TorchScript)')
    context.report.find(
      'unknown',
      'code',
      'TorchScript code, which PyTorch compiles and runs when the model is used',
      part.where,
    );
  return format;
}

async function lookAtPickle(part: Part, context: Context): Promise<string> {
  const isTorch = latin1(part.range.read(2, 3)) === '\x8a\x0al';
  if (isDisguised(part.name))
    context.report.find(
      'suspicious',
      'pickle',
      `a pickle under the name of something else, "${part.name}"`,
      part.where,
    );
  await inspectWholePickle(part, context);
  return isTorch ? 'PyTorch (legacy)' : 'Python pickle';
}

/** Names under which nobody looks for a pickle. */
function isDisguised(name: string): boolean {
  return /\.(?:txt|md|json|ya?ml|csv|png|jpe?g|gif|safetensors|gguf|onnx|h5|hdf5|keras|npy|npz|zip|tar|gz|7z|py|html?)$/i.test(
    name,
  );
}

/** Bytes that should be a tensor's: a pickle in them is no accident where it names something. */
async function lookAtTensor(part: Part, context: Context): Promise<string> {
  if (kindOf(part) === 'pickle' && isOldPickle(part)) {
    context.report.find('suspicious', 'pickle', 'a pickle where a tensor should be', part.where);
    await inspectPickles(part, context);
  }
  return 'a tensor';
}

async function lookAtOther(
  kind: Exclude<Kind, string> | 'nothing',
  part: Part,
  context: Context,
): Promise<string> {
  const { range, where, name } = part;
  const { report } = context;
  if (range.size === 0) return 'nothing';
  if (isOldPickle(part)) return lookAtPickle(part, context);
  const claims = claimsPickle(name) || claimsCheckpoint(name);
  if (kind !== 'nothing') {
    if (kind.isCode || claims || where === '') report.find('unknown', 'format', `it is ${kind.other}`, where);
    if (claims) await searchBytes(part, context, 0);
    return kind.other;
  }
  if (/(?:^|\/)code\/.*\.(?:py|debug_pkl)$/.test(name)) return 'TorchScript code';
  if (/\.py[cdo]?$/i.test(name))
    report.find('unknown', 'code', 'Python code, which was not looked at', where);
  else if (claims || where === '') {
    report.find('unknown', 'format', 'no format that is known here', where);
    await searchBytes(part, context, 0);
  }
  return 'unknown';
}
