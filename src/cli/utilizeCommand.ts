import { realpathSync, statSync } from 'node:fs';
import { printable } from '../checkpoint/errors';
import { cannotWrite, writeFileAtomically } from '../checkpoint/write/atomicFile';
import { searchesFolder } from '../engine/cache';
import { renderJson } from '../engine/report/json';
import { trimmed } from '../engine/report/quantities';
import { resolveMeasurement, type ResolvedMeasurement } from '../engine/utilization/measurementRequest';
import type { UtilizationDocument } from '../engine/utilizationDocument';
import { utilize } from '../engine/utilize';
import type { ResolvedRecipe } from '../network/recipe';
import { openJobBackend } from './backend';
import type { CliCommand, Streams } from './command';
import { UsageError } from './flags';
import { UTILIZE_HELP } from './help';
import { networkOpener, withInterpreter } from './recipeNetwork';
import { parseUtilize, type UtilizeArguments } from './utilizeArguments';
import { renderUtilization } from './utilizeTable';

/** `rankscope utilize`. */
export const utilizeCommand: CliCommand = {
  name: 'utilize',
  usage: [['utilize <recipe|model>', 'ranks that a network uses on data']],
  help: UTILIZE_HELP,
  parse(argv) {
    const options = parseUtilize(argv);
    if (options === 'help') return 'help';
    const writesFile =
      options.decompose !== undefined || (options.json !== undefined && options.json !== '-');
    return (terminal) => terminal.job(writesFile, (streams, signal) => runUtilize(options, streams, signal));
  },
};

/**
 * @returns the exit code: 0, or 3 when the mean layer utilization is under the gate
 * @throws UsageError, the job's error in one line, or the signal's reason when cancelled
 */
async function runUtilize(options: UtilizeArguments, streams: Streams, signal: AbortSignal): Promise<number> {
  const measurement = await resolveMeasurement({ ...options, path: options.input });
  const recipe = withInterpreter(measurement.recipe, options.python);
  requireTargets(options, recipe, measurement.checkpoint);
  const document = await measured(options, { ...measurement, recipe }, streams, signal);
  streams.endProgress();
  deliver(document, options, streams);
  return holdsGate(options, document, streams) ? 0 : 3;
}

async function measured(
  options: UtilizeArguments,
  { recipe, settings, layers, checkpoint }: ResolvedMeasurement,
  streams: Streams,
  signal: AbortSignal,
): Promise<UtilizationDocument> {
  const backend = await openJobBackend(options, streams, signal);
  const say = (line: string): void => {
    streams.endProgress();
    streams.complain(line);
  };
  const { resume, decompose, spectra } = options;
  try {
    return await utilize({
      open: networkOpener(recipe, backend, streams),
      ...{ settings, checkpoint, resume, decompose, spectra, backend, signal },
      layers: options.layers ?? layers,
      searches: searchesFolder(),
      onEarlierSearch: (probes) => {
        const count = probes === 1 ? '1 evaluation' : `${probes} evaluations`;
        say(`an earlier search of the same made ${count}: --resume continues it`);
      },
      onProgress: streams.onProgress,
    });
  } finally {
    await backend.dispose();
  }
}

/** Files that are written: possible, and none of those that are read. */
function requireTargets(
  { json, decompose, input }: UtilizeArguments,
  { network, path }: ResolvedRecipe,
  checkpoint: string | undefined,
): void {
  const read = [input, path, checkpoint, 'model' in network ? network.model : undefined];
  const inputs = read.map(realPathOf).filter((file) => file !== undefined);
  for (const [flag, target] of [
    ['--json', json],
    ['--decompose', decompose],
  ] as const) {
    if (target === undefined || (flag === '--json' && target === '-')) continue;
    const reason = cannotWrite(target);
    if (reason !== undefined) throw new UsageError(`${flag} ${printable(target)}: ${reason}`);
    const real = realPathOf(target);
    if (real !== undefined && inputs.includes(real))
      throw new UsageError(`${flag} ${printable(target)} would overwrite what is measured`);
  }
}

function realPathOf(file: string | undefined): string | undefined {
  if (file === undefined || statSync(file, { throwIfNoEntry: false }) === undefined) return undefined;
  return realpathSync(file);
}

function deliver(
  document: UtilizationDocument,
  { json, input }: UtilizeArguments,
  { out, display }: Streams,
): void {
  if (json === '-') out(renderJson(document));
  else out(renderUtilization(document, input, display));
  if (json !== undefined && json !== '-') writeFileAtomically(json, renderJson(document));
}

function holdsGate(
  { failUnder, input }: UtilizeArguments,
  { summary: { mlu } }: UtilizationDocument,
  { complain }: Streams,
): boolean {
  if (failUnder === undefined || (mlu !== null && mlu >= failUnder)) return true;
  // As the flag is written, and fine enough that 0.8999 is not "0.9 under 0.9".
  const found = mlu === null ? 'does not exist' : `is ${trimmed(mlu, 6)}`;
  complain(`${printable(input)}: mean layer utilization ${found}, required is ${failUnder}`);
  return false;
}
