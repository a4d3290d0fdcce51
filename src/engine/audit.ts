import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import type { Checkpoint } from '../checkpoint/checkpoint';
import { CheckpointError } from '../checkpoint/errors';
import { listLayers, modelParameters, type DeclaredGroups, type Layer } from '../checkpoint/layers';
import { openCheckpoint } from '../checkpoint/open';
import type { ComputeBackend } from '../compute';
import type { ResultCache } from './cache';
import type { AuditDocument, CheckpointFacts, LayerAudit, SkippedTensor } from './document';
import { auditLayer, summarise } from './layerAudit';
import { spectraOf, type LayerSpectra } from './layerSpectra';
import type { Progress } from './progress';
import { TOOL } from './version';

export interface AuditOptions {
  /** A checkpoint file, a sharded model's index, or a folder that is a sharded model. */
  readonly path: string;
  readonly backend: ComputeBackend;
  /** Aborting it rejects the job with the signal's reason, within milliseconds. */
  readonly signal: AbortSignal;
  /** Only layers whose name matches; the others are listed as skipped. */
  readonly layers?: RegExp | undefined;
  /** Include every singular value in the document. */
  readonly spectra?: boolean | undefined;
  /** Include the sha256 of the file (of all files in order, for a sharded model). */
  readonly sha256?: boolean | undefined;
  /** Group counts of convolutions that the file does not tell. */
  readonly groups?: readonly DeclaredGroups[] | undefined;
  /** null: neither read nor written. */
  readonly cache: ResultCache | null;
  /** The file was opened; nothing has been computed yet. */
  readonly onOpened?: ((facts: CheckpointFacts, layerNames: readonly string[]) => void) | undefined;
  /** A layer is finished; `index` counts in file order, layers finish largest first. */
  readonly onLayer?: ((layer: LayerAudit, index: number) => void) | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * The rank audit of a checkpoint: every tensor either analysed or skipped with a reason.
 * For the same bytes, options and backend build, everything but `startedAt` and `seconds` is always the same.
 *
 * @throws {CheckpointError} when the file cannot be read; one line, naming file, tensor and offset.
 */
export async function audit(options: AuditOptions): Promise<AuditDocument> {
  const startedAt = new Date();
  const start = performance.now();
  const { signal } = options;
  signal.throwIfAborted();
  const checkpoint = await openCheckpoint(options.path, signal);
  const { layers, skipped } = listLayers(checkpoint, { groups: options.groups ?? [] });
  const chosen = options.layers;
  const selected = chosen === undefined ? layers : layers.filter((layer) => matches(chosen, layer.name));
  const facts: CheckpointFacts = {
    ...checkpointFacts(checkpoint),
    ...(options.sha256 === true && { sha256: await hashFiles(checkpoint.files, signal) }),
  };
  options.onOpened?.(
    facts,
    selected.map(({ name }) => name),
  );

  const audits: (LayerAudit | undefined)[] = selected.map(() => undefined);
  const refused: SkippedTensor[] = [];
  const withSpectra = options.spectra === true;
  await spectraOf(selected, options, (index, layer, result) => {
    const reason = reasonToSkip(result);
    if (reason !== undefined) refused.push(skip(layer, reason));
    else if (result.kind === 'spectra') {
      const done = auditLayer(layer, result.singularValues, withSpectra);
      audits[index] = done;
      options.onLayer?.(done, index);
    }
  });
  await options.cache?.prune();

  const finished = audits.filter((layer) => layer !== undefined);
  const unselected = layers.filter((layer) => !selected.includes(layer));
  return {
    schema: 'rankscope/audit@1',
    tool: TOOL,
    backend: { name: options.backend.name, build: options.backend.build },
    checkpoint: facts,
    startedAt: startedAt.toISOString(),
    seconds: Math.round(performance.now() - start) / 1000,
    layers: finished,
    skipped: inFileOrder(checkpoint, [
      ...skipped,
      ...refused,
      ...unselected.map((layer) => skip(layer, 'not selected: its name does not match the layer filter')),
    ]),
    summary: summarise(finished, facts.parameters),
  };
}

/** A regular expression with the g or y flag would remember where it stopped. */
function matches(pattern: RegExp, name: string): boolean {
  pattern.lastIndex = 0;
  return pattern.test(name);
}

/** What documents say of a checkpoint. */
export function checkpointFacts(checkpoint: Checkpoint): CheckpointFacts {
  return {
    path: checkpoint.path,
    format: checkpoint.format,
    bytes: checkpoint.bytes,
    tensors: checkpoint.tensors.length + checkpoint.unreadable.length,
    parameters: modelParameters(checkpoint),
    ...(checkpoint.notes.length > 0 && { notes: checkpoint.notes }),
  };
}

function reasonToSkip(result: LayerSpectra): string | undefined {
  switch (result.kind) {
    case 'spectra':
      return undefined;
    case 'tooLarge':
      return `too large: ${result.reason}`;
    case 'nonFinite': {
      const { nan, infinite, firstIndex } = result.nonFinite;
      return `not finite: ${nan} NaN and ${infinite} infinite values, the first at element ${firstIndex}`;
    }
  }
}

function skip(layer: Layer, reason: string): SkippedTensor {
  return { name: layer.name, shape: layer.tensor.shape, dtype: layer.tensor.dtype, reason };
}

/** By the place of the tensor in the file; experts of a stack stay beside each other. */
function inFileOrder(checkpoint: Checkpoint, skipped: readonly SkippedTensor[]): SkippedTensor[] {
  const place = new Map([...checkpoint.tensors, ...checkpoint.unreadable].map(({ name }, i) => [name, i]));
  const placeOf = ({ name }: SkippedTensor): number =>
    place.get(name) ?? place.get(name.replace(/\[\d+\]$/, '')) ?? place.size;
  return skipped
    .map((entry, i) => ({ entry, i, place: placeOf(entry) }))
    .sort((a, b) => a.place - b.place || a.i - b.i)
    .map(({ entry }) => entry);
}

async function hashFiles(files: readonly string[], signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) {
    try {
      // The types leave open what a stream without an encoding yields; it is buffers.
      const stream = createReadStream(file, { signal, highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>;
      for await (const chunk of stream) hash.update(chunk);
    } catch (error) {
      signal.throwIfAborted();
      throw new CheckpointError('io', 'cannot be read', { file: path.normalize(file) }, { cause: error });
    }
  }
  return hash.digest('hex');
}
