import { elementCount, type Checkpoint } from '../checkpoint/checkpoint';
import { bytesPerElement } from '../checkpoint/dtype';
import { CheckpointError, printable } from '../checkpoint/errors';
import {
  adaptersByFactor,
  identityKey,
  listLayers,
  modelParameters,
  ownsItsNumbers,
  type DeclaredGroups,
  type Layer,
} from '../checkpoint/layers';
import { openCheckpoint } from '../checkpoint/open';
import { StagedFiles } from '../checkpoint/write/staging';
import type { ComputeBackend } from '../compute';
import { factorization, type Factorization } from '../lowrank';
import type { NetworkFacts, RunnableNetwork } from '../network/network';
import { checkpointFacts } from './audit';
import type { ResultCache } from './cache';
import { gatherLayerInputs, type GatheredInputs } from './conversion/layerInputs';
import { denseLayer, summariseConversion } from './conversion/outcome';
import { convertLayers, type LayerOutcome } from './conversion/run';
import { selectLayers, type Selected } from './conversion/selection';
import { rankSuffix, requireFree, targetsOf } from './conversion/targets';
import { writeConversion } from './conversion/writing';
import type { ConversionDocument, ConversionInputs, LayerConversion, RankChoice } from './conversionDocument';
import type { CheckpointFacts } from './document';
import type { Progress } from './progress';
import { TOOL } from './version';

export interface ConvertOptions {
  /** A checkpoint file, a sharded model's index, or a folder that is a sharded model. */
  readonly path: string;
  /** Name of the factorization: `sine`, `svd`. */
  readonly to: string;
  readonly ranks: RankChoice;
  /** Only layers whose name matches; they are converted whatever their kind. */
  readonly layers?: RegExp | undefined;
  /** Group counts of convolutions that the file does not tell. */
  readonly groups?: readonly DeclaredGroups[] | undefined;
  readonly omega?: number | undefined;
  readonly gain?: number | undefined;
  readonly seed?: number | undefined;
  /** Most optimisation steps of a fit. */
  readonly steps?: number | undefined;
  /** Also write a dense model in the checkpoint's own format. */
  readonly materialize?: boolean | undefined;
  /** Folder for the files; absent: beside the checkpoint. */
  readonly out?: string | undefined;
  /**
   * Opens a network that runs with these weights: errors, and the ranks that depend on them, are then those of the layers'
   * outputs on its Gram data, ‖(W − Ŵ)·G^{1/2}‖ ÷ ‖W·G^{1/2}‖. Layers it does not have are measured by their weights.
   */
  readonly inputs?: ((signal: AbortSignal) => Promise<RunnableNetwork>) | undefined;
  readonly backend: ComputeBackend;
  /** Aborting it rejects the job with the signal's reason; nothing is written then. */
  readonly signal: AbortSignal;
  /** null: neither read nor written. */
  readonly cache: ResultCache | null;
  /** The file was opened; nothing has been computed yet. Names of the layers that are to be converted. */
  readonly onOpened?: ((facts: CheckpointFacts, layerNames: readonly string[]) => void) | undefined;
  /** A layer is finished, with its spectra; `index` counts among the names given when the file was opened. */
  readonly onLayer?: ((layer: LayerConversion, index: number) => void) | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface Conversion {
  /** With all spectra. */
  readonly document: ConversionDocument;
  /** Converted layers whose factors were kept from an earlier run. */
  readonly reusedLayers: number;
}

/** How much of a bar running the network is; fits take longer than any other part. */
const INPUTS_SHARE = 0.2;

/** Seed when none is given. */
const DEFAULT_SEED = 0;

/**
 * Converts the layers of a checkpoint to a factorization and writes the factors, the document and the loader (and the
 * dense model, where asked), all or none of them. Finished fits stay in the cache, so that a job that was stopped goes
 * on where it was. For the same bytes, options and backend build the files are the same but for times.
 *
 * @throws {CheckpointError} when a file cannot be read or written, or there is nothing to convert; one line.
 * @throws {Error} in one line for settings that make no sense or a rate that cannot be met.
 */
export async function convert(options: ConvertOptions): Promise<Conversion> {
  const startedAt = new Date();
  const start = performance.now();
  const { signal, ranks } = options;
  signal.throwIfAborted();
  const method = factorization(options.to);
  requireSense(options);
  const seed = options.seed ?? DEFAULT_SEED;
  const checkpoint = await openCheckpoint(options.path, signal);
  const selected = selectForConversion(checkpoint, options, method);
  const wanted = selected.flatMap(({ layer, reason }) => (reason === undefined ? [layer] : []));
  if (wanted.length === 0) throw nothingToConvert(checkpoint, selected);
  const facts = checkpointFacts(checkpoint);
  const targets = targetsOf(checkpoint, `${method.name}-${rankSuffix(ranks)}`, options);
  const staged = new StagedFiles();
  try {
    if (options.out !== undefined) await staged.folder(targets.folder);
    await requireFree(targets, checkpoint);
    options.onOpened?.(
      facts,
      wanted.map(({ name }) => name),
    );
    const inputs = await inputsOf(wanted, checkpoint, { ...options, staged, target: targets.factors });
    const outcomes = await convertLayers(wanted, method, {
      ...options,
      ...{ seed, checkpoint, staged, targets },
      ...(inputs !== undefined && {
        layerInputs: inputs.inputs,
        onProgress: after(INPUTS_SHARE, options.onProgress),
      }),
    });
    const layers = inFileOrder(selected, outcomes);
    if (!outcomes.some(({ factors }) => factors !== undefined)) {
      throw nothingToConvert(
        checkpoint,
        layers.filter((layer) => layer.outcome === 'dense'),
      );
    }
    const unseen = wanted.filter(({ name }) => inputs?.inputs.has(name) === false);
    const document: ConversionDocument = {
      schema: 'rankscope/conversion@1',
      tool: TOOL,
      backend: { name: options.backend.name, build: options.backend.build },
      checkpoint: facts,
      startedAt: startedAt.toISOString(),
      seconds: Math.round(performance.now() - start) / 1000,
      to: method.name,
      seed,
      ranks,
      ...(inputs !== undefined && { inputs: inputs.facts }),
      layers,
      summary: summariseConversion(layers, modelSize(checkpoint)),
      ...(unseen.length > 0 && { notes: [unseenNote(unseen, inputs?.grouped ?? new Map())] }),
      files: { factors: targets.factors, document: targets.document },
    };
    const written = await writeConversion(document, { checkpoint, targets, outcomes, staged, signal });
    return {
      document: written,
      reusedLayers: outcomes.filter(({ factors, free }) => factors !== undefined && free).length,
    };
  } catch (error) {
    // What a cancel interrupts is told in the words of what was interrupted.
    signal.throwIfAborted();
    throw error;
  } finally {
    await staged.discard();
    await options.cache?.prune();
  }
}

interface InputsOptions extends Pick<ConvertOptions, 'inputs' | 'backend' | 'signal' | 'onProgress'> {
  readonly staged: StagedFiles;
  readonly target: string;
}

/** What the network that was asked for says of the layers' inputs; it is let go before anything is fitted. */
async function inputsOf(
  layers: readonly Layer[],
  checkpoint: Checkpoint,
  { inputs, onProgress, ...rest }: InputsOptions,
): Promise<(GatheredInputs & { readonly facts: ConversionInputs }) | undefined> {
  if (inputs === undefined) return undefined;
  const report = (fraction: number): void => {
    const share = INPUTS_SHARE * fraction;
    onProgress?.({ done: 0, total: layers.length, fraction: share, label: 'running the network' });
  };
  report(0);
  const network = await inputs(rest.signal);
  try {
    const gathered = await gatherLayerInputs({ ...rest, network, checkpoint, layers, onFraction: report });
    return { ...gathered, facts: inputsFacts(network.facts) };
  } finally {
    await network.dispose();
  }
}

function inputsFacts({ host, runtime, gramSamples }: NetworkFacts): ConversionInputs {
  return { host, runtime, samples: gramSamples };
}

/** Progress of what comes after a first part. */
function after(share: number, onProgress: ConvertOptions['onProgress']): (progress: Progress) => void {
  return (progress) => onProgress?.({ ...progress, fraction: share + (1 - share) * progress.fraction });
}

/** Layers whose errors are those of their weights after all, and why. */
function unseenNote(layers: readonly Layer[], grouped: ReadonlyMap<string, number>): string {
  const [first] = layers.filter(({ name }) => grouped.has(name));
  const one = layers.length === 1;
  const [any] = layers;
  const which = printable((first ?? any)?.name ?? '');
  const whose = one ? 'its error is that of its weights' : 'their errors are those of their weights';
  const groups = first === undefined ? undefined : grouped.get(first.name);
  const why =
    groups === undefined
      ? 'not in the network that was run, under these names and with these weights, or get nothing but zeros'
      : `not measured on inputs: ${which} has ${groups} groups in the network, which the file does not tell (--groups '${which}=${groups}')`;
  return one
    ? `${which} is ${why}: ${whose}`
    : `${layers.length} layers, ${which} among them, are ${why}: ${whose}`;
}

/** @throws {Error} naming the setting */
function requireSense({ ranks, omega, gain }: ConvertOptions): void {
  const within = (value: number, low: number, high: number): boolean => value > low && value < high;
  const wrong = (what: string): Error => new Error(`${what} makes no conversion`);
  if (ranks.kind === 'rank' && !isRank(ranks.rank)) throw wrong(`a rank of ${ranks.rank}`);
  if (ranks.kind === 'share' && !within(ranks.share, 0, 1)) throw wrong(`a share of ${ranks.share}`);
  if (ranks.kind === 'compression' && !within(ranks.rate, 0, 1)) throw wrong(`a rate of ${ranks.rate}`);
  if (ranks.kind === 'error' && !within(ranks.relativeError, 0, 1))
    throw wrong(`an error of ${ranks.relativeError}`);
  if (ranks.kind === 'perLayer') {
    const odd = ranks.ranks.find(({ rank }) => !isRank(rank));
    if (odd !== undefined) throw wrong(`a rank of ${odd.rank}`);
  }
  if (omega !== undefined && !within(omega, 0, Infinity)) throw wrong(`an omega of ${omega}`);
  if (gain !== undefined && !within(gain, 0, Infinity)) throw wrong(`a gain of ${gain}`);
}

function isRank(rank: number): boolean {
  return Number.isSafeInteger(rank) && rank >= 1;
}

/** Layers in file order, with the reason of those that stay as they are. */
export function selectForConversion(
  checkpoint: Checkpoint,
  { layers: pattern, groups, ranks }: Pick<ConvertOptions, 'layers' | 'groups' | 'ranks'>,
  method: Factorization,
): Selected[] {
  const { layers } = listLayers(checkpoint, { groups: groups ?? [] });
  const named = ranks.kind === 'perLayer' ? ranks.ranks.map((entry) => new RegExp(entry.pattern)) : undefined;
  const isWanted = ({ name }: Layer): boolean =>
    (pattern === undefined || matches(pattern, name)) &&
    (named === undefined || named.some((one) => one.test(name)));
  const isAny = pattern === undefined && named === undefined;
  return selectLayers(checkpoint, layers, method, isAny ? undefined : isWanted);
}

/** A regular expression with the g or y flag would remember where it stopped. */
function matches(pattern: RegExp, name: string): boolean {
  pattern.lastIndex = 0;
  return pattern.test(name);
}

/** The most frequent reason explains best why nothing was left. */
function nothingToConvert(
  { path }: Checkpoint,
  layers: readonly { readonly reason?: string }[],
): CheckpointError {
  const counts = new Map<string, number>();
  for (const { reason } of layers) {
    // What factors belong to stands beside them with a reason of its own.
    if (reason === undefined || reason.startsWith('factor:')) continue;
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  const [best] = [...counts].sort(([, a], [, b]) => b - a);
  const why = best === undefined ? 'it has no layers' : best[0];
  return new CheckpointError('unsupported', `nothing to convert: ${why}`, { file: path });
}

function inFileOrder(selected: readonly Selected[], outcomes: readonly LayerOutcome[]): LayerConversion[] {
  const byName = new Map(outcomes.map(({ conversion }) => [conversion.name, conversion]));
  return selected.map(
    ({ layer, reason }) => byName.get(layer.name) ?? denseLayer(layer, reason ?? 'not selected: unknown'),
  );
}

/** Parameters of the model, and the bytes of its tensors, each weight once. */
function modelSize(checkpoint: Checkpoint): { readonly parameters: number; readonly bytes: number } {
  const sizes = new Map<string, number>();
  const byFactor = adaptersByFactor(checkpoint);
  for (const tensor of checkpoint.tensors) {
    if (!ownsItsNumbers(tensor, checkpoint, byFactor)) continue;
    sizes.set(identityKey(tensor), elementCount(tensor.shape) * bytesPerElement(tensor.dtype));
  }
  return {
    parameters: modelParameters(checkpoint),
    bytes: [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0),
  };
}
