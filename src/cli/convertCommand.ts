import { realpathSync, statSync } from 'node:fs';
import { printable } from '../checkpoint/errors';
import { cannotWrite, writeFileAtomically } from '../checkpoint/write/atomicFile';
import { openCache } from '../engine/cache';
import type { ConversionDocument } from '../engine/conversionDocument';
import { convert, type Conversion } from '../engine/convert';
import { densify, keepsFactors } from '../engine/densify';
import { renderJson } from '../engine/report/json';
import { readRecipe } from '../network/readRecipe';
import { openJobBackend } from './backend';
import type { CliCommand, Streams } from './command';
import { DEFAULT_SHARE, DENSE, parseConvert, type ConvertArguments } from './convertArguments';
import { renderConversion } from './convertTable';
import { UsageError } from './flags';
import { CONVERT_HELP } from './help';
import { networkOpener, withInterpreter } from './recipeNetwork';

/** `rankscope convert`. */
export const convertCommand: CliCommand = {
  name: 'convert',
  usage: [['convert <file>', 'layers as low-rank factors, and back']],
  help: CONVERT_HELP,
  parse(argv) {
    const options = parseConvert(argv);
    if (options === 'help') return 'help';
    return (terminal) => terminal.job(true, (streams, signal) => runConvert(options, streams, signal));
  },
};

/**
 * @returns the exit code
 * @throws UsageError, the job's error in one line, or the signal's reason when cancelled
 */
async function runConvert(options: ConvertArguments, streams: Streams, signal: AbortSignal): Promise<number> {
  requireJsonTarget(options);
  if (await isOnlyDense(options, signal)) {
    const { path, weights } = await densify({ path: options.input, out: options.out, signal });
    const made = weights === 1 ? '1 weight' : `${weights} weights`;
    streams.out(`${made} multiplied out; written\n  ${printable(path)}\n`);
    return 0;
  }
  const { document, reusedLayers } = await converted(options, streams, signal);
  streams.endProgress();
  deliver(document, reusedLayers, options, streams);
  return 0;
}

/** A file of factors of which nothing is asked but the dense weights. */
async function isOnlyDense(options: ConvertArguments, signal: AbortSignal): Promise<boolean> {
  if (options.to === DENSE) return true;
  const asksForNothing =
    options.ranks === undefined &&
    options.layers === undefined &&
    options.inputs === undefined &&
    options.json === undefined;
  return options.materialize && asksForNothing && (await keepsFactors(options.input, signal));
}

async function converted(
  options: ConvertArguments,
  streams: Streams,
  signal: AbortSignal,
): Promise<Conversion> {
  // Before anything is computed: a recipe that is wrong says so at once.
  const recipe =
    options.inputs === undefined
      ? undefined
      : withInterpreter(await readRecipe(options.inputs), options.python);
  const backend = await openJobBackend(options, streams, signal);
  const { input, to, layers, groups, omega, gain, seed, materialize, out } = options;
  try {
    return await convert({
      path: input,
      to,
      ranks: options.ranks ?? { kind: 'share', share: DEFAULT_SHARE },
      layers,
      groups,
      omega,
      gain,
      seed,
      materialize,
      out,
      ...(recipe !== undefined && { inputs: networkOpener(recipe, backend, streams) }),
      backend,
      signal,
      cache: options.cache ? openCache() : null,
      onProgress: streams.onProgress,
    });
  } finally {
    await backend.dispose();
  }
}

function requireJsonTarget({ json, input }: ConvertArguments): void {
  if (json === undefined || json === '-') return;
  const reason = cannotWrite(json);
  if (reason !== undefined) throw new UsageError(`--json ${printable(json)}: ${reason}`);
  const [target, source] = [json, input].map((file) =>
    statSync(file, { throwIfNoEntry: false }) === undefined ? undefined : realpathSync(file),
  );
  if (target !== undefined && target === source) {
    throw new UsageError(`--json ${printable(json)} would overwrite the checkpoint`);
  }
}

function deliver(
  document: ConversionDocument,
  reusedLayers: number,
  { json, spectra }: ConvertArguments,
  { out, display }: Streams,
): void {
  const text = renderJson(spectra ? document : withoutSpectra(document));
  if (json === '-') {
    out(text);
    return;
  }
  out(renderConversion(document, reusedLayers, display));
  if (json !== undefined) writeFileAtomically(json, text);
}

function withoutSpectra(document: ConversionDocument): ConversionDocument {
  const layers = document.layers.map((layer) => {
    if (layer.outcome === 'dense') return layer;
    const { spectra: _, ...rest } = layer;
    return rest;
  });
  return { ...document, layers };
}
