import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint, Tensor } from '../../checkpoint/checkpoint';
import { identityKey } from '../../checkpoint/layers';
import { writeFactorFile } from '../../checkpoint/write/factorFile';
import { writeDense, type Replacements } from '../../checkpoint/write/materialize';
import type { StagedFiles } from '../../checkpoint/write/staging';
import type { ConversionDocument } from '../conversionDocument';
import { renderJson } from '../report/json';
import { replacementsOf } from './converted';
import { loaderSource } from './loader';
import type { LayerOutcome } from './run';
import { modelName, type Targets } from './targets';

interface WritingOptions {
  readonly checkpoint: Checkpoint;
  readonly targets: Targets;
  readonly outcomes: readonly LayerOutcome[];
  readonly staged: StagedFiles;
  readonly signal: AbortSignal;
}

/**
 * Writes the factors, the loader, the dense model where asked, and last the document, whose presence says that the
 * others are there.
 *
 * @param document with what is known before anything is written
 * @returns the document as it was written
 */
export async function writeConversion(
  document: ConversionDocument,
  { checkpoint, targets, outcomes, staged, signal }: WritingOptions,
): Promise<ConversionDocument> {
  const layers = outcomes.flatMap(({ factors }) => (factors === undefined ? [] : [factors]));
  const source = { name: modelName(path.resolve(checkpoint.path), checkpoint), format: checkpoint.format };
  const notes = [
    ...(document.notes ?? []),
    ...(await writeFactorFile(staged, targets.factors, checkpoint, layers, source, signal)),
  ];
  const loader = await loaderSource();
  await staged.write(targets.loader, async (handle) => {
    await handle.writeFile(await readFile(loader));
  });
  const { dense } = targets;
  if (dense !== undefined) {
    const replacements = withTies(replacementsOf(layers, checkpoint.path), checkpoint);
    await writeDense(checkpoint, replacements, dense.path, staged, signal);
    if (dense.note !== undefined) notes.push(dense.note);
  }
  const written: ConversionDocument = {
    ...document,
    ...(notes.length > 0 && { notes }),
    files: {
      factors: targets.factors,
      document: targets.document,
      loader: targets.loader,
      ...(dense !== undefined && { materialized: dense.path }),
    },
  };
  await staged.write(targets.document, async (handle) => {
    await handle.writeFile(renderJson(written));
  });
  signal.throwIfAborted();
  await staged.commit();
  return written;
}

/** Other names of a replaced weight stand for the new one, too. */
export function withTies(replacements: ReadonlyMap<string, Tensor>, checkpoint: Checkpoint): Replacements {
  const byContent = new Map<string, Tensor>();
  for (const tensor of checkpoint.tensors) {
    const values = replacements.get(tensor.name);
    if (values !== undefined) byContent.set(identityKey(tensor), values);
  }
  const all = new Map(replacements);
  for (const tensor of checkpoint.tensors) {
    const values = byContent.get(identityKey(tensor));
    if (values !== undefined) all.set(tensor.name, values);
  }
  return all;
}
