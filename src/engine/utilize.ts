import { realpathSync, statSync } from 'node:fs';
import { openCheckpoint } from '../checkpoint/open';
import { CheckpointError } from '../checkpoint/errors';
import type { ComputeBackend } from '../compute';
import type { RunnableNetwork } from '../network/network';
import { checkpointFacts } from './audit';
import type { Progress } from './progress';
import { rankPatternFile } from './utilization/decomposedCheckpoint';
import { withoutSpectra } from './utilization/layerRecord';
import { Measurement } from './utilization/measurement';
import { selectLayers, type Selection } from './utilization/measuredLayers';
import { SearchState } from './utilization/searchState';
import type { LayerUtilization, Probe, UtilizationDocument } from './utilizationDocument';
import type { UtilizationStage } from './utilizationProtocol';

/** How dimensions are chosen. */
export type UtilizationSettings =
  | {
      readonly mode: 'cumulative' | 'independent';
      /** For each projection: percentage points of accuracy, or percent of the original loss. */
      readonly delta: number;
      /** Probes at most; layers that it does not reach stay as they are. */
      readonly maxPasses?: number | undefined;
    }
  | {
      readonly mode: 'label-free';
      /** Share of spectral energy that both projections keep, above 0, up to 1. */
      readonly energy: number;
    };

/** What is known once the network is open and its original weights are measured. */
export interface OpenedMeasurement {
  readonly network: RunnableNetwork['facts'];
  readonly layers: readonly {
    readonly name: string;
    readonly shape: readonly [number, number];
    readonly rank: number;
  }[];
  readonly before?: number;
  readonly resumedProbes: number;
}

export interface UtilizeOptions {
  /** Opens the network; the job disposes it. */
  readonly open: (signal: AbortSignal) => Promise<RunnableNetwork>;
  readonly settings: UtilizationSettings;
  /** Only layers whose name matches; the others are listed as skipped. */
  readonly layers?: RegExp | undefined;
  /** The checkpoint behind the network, when there is a file. */
  readonly checkpoint?: string | undefined;
  /** Go on with an earlier search of the same network, data and settings. */
  readonly resume: boolean;
  /** File to write the two-layer checkpoint to. */
  readonly decompose?: string | undefined;
  /** Include the spectra of inputs and outputs in the document. */
  readonly spectra: boolean;
  /** Folder that holds how far searches are (`searchesFolder`). */
  readonly searches: string;
  readonly backend: ComputeBackend;
  /** Aborting it rejects the job with the signal's reason, within a second; what was probed is kept. */
  readonly signal: AbortSignal;
  readonly onOpened?: ((opened: OpenedMeasurement) => void) | undefined;
  /** There are this many probes of an earlier search that `resume` would have used. */
  readonly onEarlierSearch?: ((probes: number) => void) | undefined;
  readonly onStage?: ((stage: UtilizationStage) => void) | undefined;
  /** A probe was made, now or in the earlier run that is resumed. */
  readonly onProbe?: ((layer: string, probe: Probe) => void) | undefined;
  /** A layer is finished, with its spectra; `index` counts measured layers in the network's order. */
  readonly onLayer?: ((layer: LayerUtilization, index: number) => void) | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * Measures the utilized rank of every linear and convolution layer of a network on data: input Grams, subspaces, the
 * search for the smallest dimensions (or those of fixed energies), and what they buy. Killed at any moment and resumed,
 * the result is the same and no probe is repeated; `startedAt` and `seconds` apart.
 *
 * @throws Error with one line that says what to do
 */
export async function utilize(options: UtilizeOptions): Promise<UtilizationDocument> {
  const { signal } = options;
  signal.throwIfAborted();
  requireTarget(options);
  options.onStage?.({ kind: 'opening' });
  const checkpoint =
    options.checkpoint === undefined ? undefined : await openCheckpoint(options.checkpoint, signal);
  const network = await options.open(signal);
  try {
    const selection = selectLayers(network, options.layers);
    requireMetric(network, options.settings);
    const state = await openState(network, selection, options);
    try {
      if (state.ignoredProbes > 0) options.onEarlierSearch?.(state.ignoredProbes);
      const finished = await finishedEarlier(state, options);
      if (finished !== undefined) return finished;
      const facts = checkpoint === undefined ? undefined : checkpointFacts(checkpoint);
      return await new Measurement(network, selection, state, checkpoint, facts, options).run();
    } finally {
      await state.close();
    }
  } finally {
    await network.dispose();
  }
}

/** What the numbers depend on, beside network and data: the budget of passes only says how far the search goes. */
function openState(
  { facts }: RunnableNetwork,
  { measured }: Selection,
  { searches, settings, backend, resume }: UtilizeOptions,
): Promise<SearchState> {
  const names = measured.map(({ layer }) => layer.name);
  const chosen = settings.mode === 'label-free' ? settings.energy : settings.delta;
  const identity = {
    network: facts.identity,
    build: backend.build,
    settings: [settings.mode, chosen, names],
  };
  return SearchState.open(searches, identity, resume);
}

/** The result of an earlier run that came to its end, told again as if it was made now. */
async function finishedEarlier(
  state: SearchState,
  options: UtilizeOptions,
): Promise<UtilizationDocument | undefined> {
  const { settings } = options;
  if (!options.resume || options.decompose !== undefined) return undefined;
  const document = await state.finished();
  if (document === undefined) return undefined;
  const budget = settings.mode === 'label-free' ? Infinity : (settings.maxPasses ?? Infinity);
  if (document.summary.passes > budget) return undefined;
  const { before } = document.summary;
  options.onOpened?.({
    network: document.network,
    layers: document.layers.map(({ name, shape, rank }) => ({ name, shape, rank })),
    ...(before !== undefined && { before }),
    resumedProbes: document.summary.passes,
  });
  for (const [index, layer] of document.layers.entries()) {
    for (const probe of layer.probes) options.onProbe?.(layer.name, probe);
    options.onLayer?.(layer, index);
  }
  return options.spectra ? document : { ...document, layers: document.layers.map(withoutSpectra) };
}

function requireMetric({ facts }: RunnableNetwork, { mode }: UtilizationSettings): void {
  if (mode === 'label-free' || facts.metric !== undefined) return;
  throw new Error(
    `the validation data has no labels, which a ${mode} search is guided by: name them in the recipe, or measure label-free at fixed energies`,
  );
}

/** An input is never written to. */
function requireTarget({ decompose, checkpoint }: UtilizeOptions): void {
  if (decompose === undefined || checkpoint === undefined) return;
  for (const target of [decompose, rankPatternFile(decompose)]) {
    if (statSync(target, { throwIfNoEntry: false }) === undefined) continue;
    if (statSync(checkpoint, { throwIfNoEntry: false }) === undefined) continue;
    if (realpathSync(target) === realpathSync(checkpoint))
      throw new CheckpointError('unsupported', 'is the measured checkpoint: write to another file', {
        file: target,
      });
  }
}
