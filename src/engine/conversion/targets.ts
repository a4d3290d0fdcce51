/** Where a conversion writes: names, and what may be written over. */
import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint } from '../../checkpoint/checkpoint';
import { CheckpointError } from '../../checkpoint/errors';
import { ioError } from '../../checkpoint/file';
import { openCheckpoint } from '../../checkpoint/open';
import { denseTarget, type DenseModel } from '../../checkpoint/write/materialize';
import type { RankChoice } from '../conversionDocument';

/** Absolute paths. */
export interface Targets {
  readonly folder: string;
  readonly factors: string;
  readonly document: string;
  readonly loader: string;
  readonly dense?: DenseModel;
}

/** Of a file of factors that is only multiplied out. */
export interface DenseTargets {
  readonly folder: string;
  readonly dense: DenseModel;
  /** The conversion's document beside the factors: it says whether an earlier dense model is ours. */
  readonly document: string;
}

/** A document of ours is a few megabytes with all its spectra. */
const MAX_DOCUMENT_BYTES = 256 << 20;

/** In every version of the loader. */
const LOADER_MARK = 'rankscope';

/**
 * What a file is called after the way its ranks were chosen: `k9`, `s0.15` (a share of the smaller side), `30pct` (of
 * the model's parameters), `e0.2` (an error), `mixed` (a k for each layer).
 */
export function rankSuffix(choice: RankChoice): string {
  switch (choice.kind) {
    case 'rank':
      return `k${choice.rank}`;
    case 'share':
      return `s${plain(choice.share)}`;
    case 'compression':
      return `${plain(100 * choice.rate)}pct`;
    case 'error':
      return `e${plain(choice.relativeError)}`;
    case 'perLayer':
      return 'mixed';
  }
}

function plain(value: number): string {
  return String(Number(value.toPrecision(6)));
}

/**
 * `<name>.sine-k9.safetensors` and what goes with it, beside the checkpoint or in a folder of choice.
 *
 * @param label of the conversion: `sine-k9`
 */
export function targetsOf(
  checkpoint: Checkpoint,
  label: string,
  { out, materialize }: { readonly out?: string | undefined; readonly materialize?: boolean | undefined },
): Targets {
  const input = path.resolve(checkpoint.path);
  const folder = out === undefined ? path.dirname(input) : path.resolve(out);
  const base = path.join(folder, `${modelName(input, checkpoint)}.${label}`);
  return {
    folder,
    factors: `${base}.safetensors`,
    document: `${base}.json`,
    loader: path.join(folder, 'sine_lowrank.py'),
    ...(materialize === true && { dense: denseTarget(checkpoint, `${base}.dense`) }),
  };
}

/** `<name>.dense.safetensors` in a folder. */
export function denseOnly(checkpoint: Checkpoint, folder: string): DenseTargets {
  const base = path.join(folder, modelName(path.resolve(checkpoint.path), checkpoint));
  return { folder, dense: denseTarget(checkpoint, `${base}.dense`), document: `${base}.json` };
}

/** Name of a model: its file's without extension, or its folder's. */
export function modelName(input: string, { files }: Checkpoint): string {
  const name = path.basename(input);
  const isFolder = files.length > 1 && !files.some((file) => path.resolve(file) === input);
  return isFolder
    ? name
    : name.replace(/\.(?:safetensors|bin|pt|pth)\.index\.json$/, '').replace(/(?!^)\.[^.]*$/, '');
}

/**
 * Refuses, before the work begins, targets that are the checkpoint itself or anything that no conversion wrote.
 *
 * @throws CheckpointError naming the file
 */
export async function requireFree(targets: Targets | DenseTargets, checkpoint: Checkpoint): Promise<void> {
  await requireWritable(targets.folder);
  const inputs = new Set<string>();
  for (const file of checkpoint.files) inputs.add((await identityOf(file)) ?? file);
  const { dense, document } = targets;
  const written: [string, () => Promise<boolean>][] = [];
  if ('factors' in targets) {
    const { factors, loader } = targets;
    written.push([factors, () => isFactorFile(factors)]);
    written.push([document, async () => (await readDocument(document)) !== undefined]);
    written.push([loader, () => isLoader(loader)]);
  }
  if (dense !== undefined) written.push([dense.path, () => isDenseOf(dense.path, document)]);
  for (const [file, isOurs] of written) {
    const identity = await identityOf(file);
    if (identity === undefined) continue;
    if (inputs.has(identity)) throw refusal(file, 'is the checkpoint itself');
    if (!(await isOurs())) throw refusal(file, 'is there already and was not written by a conversion');
  }
}

function refusal(file: string, reason: string): CheckpointError {
  return new CheckpointError('io', `${reason}: nothing is written over it`, { file });
}

async function requireWritable(folder: string): Promise<void> {
  try {
    const facts = await stat(folder);
    if (!facts.isDirectory()) throw new CheckpointError('io', 'is no folder', { file: folder });
    await access(folder, constants.W_OK);
  } catch (error) {
    throw ioError(error, folder);
  }
}

async function identityOf(file: string): Promise<string | undefined> {
  const facts = await stat(file, { bigint: true }).catch(() => undefined);
  return facts === undefined ? undefined : `${facts.dev} ${facts.ino}`;
}

async function isFactorFile(file: string): Promise<boolean> {
  const opened = await openCheckpoint(file).catch(() => undefined);
  return opened?.factored !== undefined;
}

async function isLoader(file: string): Promise<boolean> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.toLowerCase().includes(LOADER_MARK);
}

/** A dense model says nothing of its origin: the document beside it does. */
async function isDenseOf(dense: string, document: string): Promise<boolean> {
  const written = await readDocument(document);
  if (typeof written !== 'object' || written === null || !('files' in written)) return false;
  const { files } = written;
  if (typeof files !== 'object' || files === null || !('materialized' in files)) return false;
  return typeof files.materialized === 'string' && path.basename(files.materialized) === path.basename(dense);
}

/** A conversion document; undefined for anything else. */
async function readDocument(file: string): Promise<unknown> {
  try {
    if ((await stat(file)).size > MAX_DOCUMENT_BYTES) return undefined;
    const parsed: unknown = JSON.parse(await readFile(file, 'utf8'));
    const isOurs =
      typeof parsed === 'object' &&
      parsed !== null &&
      'schema' in parsed &&
      parsed.schema === 'rankscope/conversion@1';
    return isOurs ? parsed : undefined;
  } catch {
    return undefined;
  }
}
