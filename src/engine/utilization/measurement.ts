import type { Checkpoint } from '../../checkpoint/checkpoint';
import { printable } from '../../checkpoint/errors';
import type { RunnableNetwork } from '../../network/network';
import {
  LayerProjections,
  flopsOf,
  ledgerOf,
  mean,
  rankOf,
  searchDimensions,
  singularValuesOf,
  type ChosenDimensions,
  type Compute,
  type SearchHost,
} from '../../utilization';
import type { CheckpointFacts } from '../document';
import type { LayerUtilization, UtilizationDocument } from '../utilizationDocument';
import type { UtilizeOptions } from '../utilize';
import { TOOL } from '../version';
import { decompose, type Decomposition } from './decomposition';
import { InFlight } from './inFlight';
import { gatherInputSubspaces, inputSubspacesOf } from './inputSubspaces';
import { meanOver, recordOf, totalsOf, withoutSpectra } from './layerRecord';
import type { MeasuredLayer, Selection } from './measuredLayers';
import { SearchProgress } from './searchProgress';
import { probeAt, type SearchState } from './searchState';
import { splitLayer, type SplitLayer } from './splitLayers';

/** One run of the job, over a network that is open. */
export class Measurement {
  private readonly startedAt = new Date();
  private readonly start = performance.now();
  private readonly compute: Compute;
  private readonly progress: SearchProgress;
  private readonly records: LayerUtilization[] = [];
  private readonly splits: SplitLayer[] = [];
  /** Rank at which each layer is, or would be, split. */
  private readonly ranks = new Map<string, number>();
  private cutShort = 0;
  private passes = 0;
  /** The layer that probes are about, which the next ones are likely to be about too. */
  private current: { readonly index: number; readonly projections: LayerProjections } | undefined;

  constructor(
    private readonly network: RunnableNetwork,
    private readonly selection: Selection,
    private readonly state: SearchState,
    private readonly checkpoint: Checkpoint | undefined,
    private readonly checkpointFacts: CheckpointFacts | undefined,
    private readonly options: UtilizeOptions,
  ) {
    this.compute = { backend: options.backend, signal: options.signal };
    const sizes = selection.measured.map(({ layer: { name, shape } }) => ({
      name,
      outputs: shape[0],
      inputs: shape[1],
    }));
    const { settings } = options;
    const budget = settings.mode === 'label-free' ? 0 : (settings.maxPasses ?? Infinity);
    this.progress = new SearchProgress(sizes, budget, (progress) => options.onProgress?.(progress));
  }

  async run(): Promise<UtilizationDocument> {
    const { network, options } = this;
    const resumedProbes = this.state.probes;
    const before = await this.valueOf('before', 'evaluating the original network');
    if (before !== undefined && !Number.isFinite(before))
      throw new Error(
        `the original network's ${network.facts.metric ?? 'metric'} is ${before}: check the data, or audit its checkpoint`,
      );
    const layers = await this.originalRanks();
    options.onOpened?.({
      network: network.facts,
      layers,
      ...(before !== undefined && { before }),
      resumedProbes,
    });
    options.onStage?.({ kind: 'grams' });
    this.progress.begin('running the Gram data');
    await gatherInputSubspaces(
      network,
      this.selection.measured,
      this.state,
      this.compute,
      options.backend.concurrency,
      (fraction) => {
        this.progress.fraction('running the Gram data', fraction);
      },
    );
    const last = await this.chooseDimensions(before);
    const afterProjection = await this.afterProjection(last);
    const decomposition =
      options.decompose === undefined ? undefined : await this.decompose(options.decompose);
    const document = this.document(before, afterProjection);
    // What is left to search needs its subspaces again.
    if (this.cutShort === 0) await this.state.finish(document);
    this.progress.finished('done');
    const whole = decomposition === undefined ? document : withDecomposition(document, decomposition);
    return options.spectra ? whole : { ...whole, layers: whole.layers.map(withoutSpectra) };
  }

  /** Ranks of the weights as they are: the first thing there is to see. */
  private async originalRanks() {
    const { network, compute } = this;
    const inFlight = new InFlight(this.options.backend.concurrency);
    const ranks = new Map<number, number>();
    for (const { index, layer } of this.selection.measured) {
      const [m, n] = layer.shape;
      const weight = await network.weight(index, compute.signal);
      await inFlight.start(async () => {
        const ofGroups: number[] = [];
        for (let g = 0; g < layer.groups; g++) {
          const group = weight.slice(g * m * n, (g + 1) * m * n);
          ofGroups.push(
            rankOf(await singularValuesOf(group, m, n, compute).catch(naming(layer.name, compute.signal))),
          );
        }
        ranks.set(index, mean(ofGroups));
      });
    }
    await inFlight.done();
    return this.selection.measured.map(({ index, layer: { name, shape } }) => ({
      name,
      shape,
      rank: ranks.get(index) ?? NaN,
    }));
  }

  /** @returns the metric with all projections applied, where the search knows it. */
  private async chooseDimensions(before: number | undefined): Promise<number | undefined> {
    const { settings } = this.options;
    if (settings.mode === 'label-free') {
      this.options.onStage?.({ kind: 'subspaces' });
      for (const index of this.selection.measured.keys()) {
        const projections = await this.projectionsOf(index);
        const kS = projections.dimensionFor('input', settings.energy);
        const kT = projections.dimensionFor('output', settings.energy);
        await this.chosen(index, { kS, kT, probes: [], isCutShort: false });
        this.progress.fraction(projections.layer.name, (index + 1) / this.selection.measured.length);
      }
      return undefined;
    }
    const { metric } = this.network.facts;
    if (metric === undefined || before === undefined) return undefined;
    const sizes = this.selection.measured.map(({ layer: { shape } }) => ({
      inputs: shape[1],
      outputs: shape[0],
    }));
    const found = await searchDimensions(sizes, { ...settings, metric, before }, this.searchHost());
    return found.at(-1)?.valueAfter;
  }

  private searchHost(): SearchHost {
    const { options, state, progress } = this;
    return {
      probe: async (question, kS, kT) => {
        const { layer: index, side, low, high, k, pass } = question;
        const name = this.entry(index).layer.name;
        options.onStage?.({ kind: 'search', layer: name, side, low, high, k, pass });
        progress.question(question);
        const known = state.value(probeAt(name, kS, kT));
        if (known !== undefined) return known;
        const started = performance.now();
        const weight = await (await this.projectionsOf(index)).onBoth(kS, kT);
        const value = await this.evaluate({ layer: this.entry(index).index, weight });
        await state.record(probeAt(name, kS, kT), value);
        progress.took((performance.now() - started) / 1000);
        return value;
      },
      probed: (index, probe) => {
        this.passes++;
        options.onProbe?.(this.entry(index).layer.name, probe);
      },
      chosen: (index, choice) => this.chosen(index, choice),
    };
  }

  /** A layer's dimensions are known: what they cost and buy; its projections stay unless each stands alone. */
  private async chosen(index: number, choice: ChosenDimensions): Promise<void> {
    const { options } = this;
    const projections = await this.projectionsOf(index);
    const { kS, kT } = choice;
    const facts = await projections.facts(kS, kT);
    const ledger = ledgerOf(projections.layer, facts.utilizedRanks);
    const record = recordOf(projections, choice, facts, ledger);
    if (choice.isCutShort) this.cutShort++;
    this.records.push(record);
    this.ranks.set(record.name, ledger.splitRank);
    if (options.decompose !== undefined && ledger.decomposable) {
      const factors = await projections.factors(kS, kT, ledger.splitRank);
      this.splits.push(splitLayer(this.entry(index), ledger.splitRank, factors));
    }
    if (options.settings.mode !== 'independent') await this.commit(index, projections, kS, kT);
    options.onLayer?.(record, index);
  }

  private async commit(index: number, projections: LayerProjections, kS: number, kT: number): Promise<void> {
    const [m, n] = projections.layer.shape;
    if (kS === n && kT === m) return;
    const weight = await projections.onBoth(kS, kT);
    await this.network.commit({ layer: this.entry(index).index, weight });
  }

  private async afterProjection(known: number | undefined): Promise<number | undefined> {
    if (known !== undefined || this.network.facts.metric === undefined) return known;
    if (this.options.settings.mode === 'independent') {
      for (const [index, { kS, kT }] of this.records.entries())
        await this.commit(index, await this.projectionsOf(index), kS, kT);
    }
    return this.valueOf('after', 'evaluating with all projections');
  }

  private decompose(target: string): Promise<Decomposition> {
    const { network, options, checkpoint } = this;
    options.onStage?.({ kind: 'decomposing' });
    const evaluate = (): Promise<number | undefined> =>
      this.valueOf('decomposed', 'evaluating the decomposed network');
    return decompose(
      target,
      network,
      checkpoint,
      this.splits,
      this.ranks,
      options.settings.mode,
      evaluate,
      this.compute,
    );
  }

  /** The metric with what is committed now, from the log where it is known; undefined without labels. */
  private async valueOf(at: string, label: string): Promise<number | undefined> {
    if (this.network.facts.metric === undefined) return undefined;
    this.progress.begin(label);
    const known = this.state.value(at);
    if (known !== undefined) return known;
    const value = await this.evaluate(undefined);
    await this.state.record(at, value);
    return value;
  }

  private async evaluate(change: Parameters<RunnableNetwork['evaluate']>[0]): Promise<number> {
    const { value } = await this.network.evaluate(change, this.compute.signal);
    return value;
  }

  private async projectionsOf(index: number): Promise<LayerProjections> {
    if (this.current?.index === index) return this.current.projections;
    // The one before is let go first: both at once would be twice the memory.
    this.current = undefined;
    const entry = this.entry(index);
    const inputs = await inputSubspacesOf(this.network, entry, this.state, this.compute);
    const weight = await this.network.weight(entry.index, this.compute.signal);
    const projections = await LayerProjections.of(entry.layer, weight, inputs, this.compute).catch(
      naming(entry.layer.name, this.compute.signal),
    );
    this.current = { index, projections };
    return projections;
  }

  private entry(index: number): MeasuredLayer {
    const entry = this.selection.measured[index];
    if (entry === undefined) throw new RangeError(`no measured layer ${index}`);
    return entry;
  }

  private document(before: number | undefined, afterProjection: number | undefined): UtilizationDocument {
    const { network, options, selection, records, checkpointFacts } = this;
    const { settings, backend } = options;
    const { metric, parameters } = network.facts;
    const { cannotResume } = this.state;
    return {
      schema: 'rankscope/utilization@1',
      tool: TOOL,
      backend: { name: backend.name, build: backend.build },
      network: network.facts,
      ...(checkpointFacts !== undefined && { checkpoint: checkpointFacts }),
      startedAt: this.startedAt.toISOString(),
      seconds: Math.round(performance.now() - this.start) / 1000,
      mode: settings.mode,
      ...(settings.mode === 'label-free'
        ? { energy: { input: settings.energy, output: settings.energy } }
        : { delta: settings.delta }),
      layers: records,
      skipped: selection.skipped,
      summary: {
        layers: records.length,
        ...(metric !== undefined && { metric }),
        ...(before !== undefined && { before }),
        ...(afterProjection !== undefined && { afterProjection }),
        mluOriginal: meanOver(records, ({ rank, maxRank }) => rank / maxRank),
        mlu: meanOver(records, ({ utilization }) => utilization),
        ...totalsOf(records, parameters, network.layers.map(flopsOf)),
        decomposableLayers: records.filter(({ decomposable }) => decomposable).length,
        passes: this.passes,
        ...(settings.mode === 'cumulative' && { guaranteedDrop: 2 * records.length * settings.delta }),
        notSearched: this.cutShort,
      },
      notes:
        cannotResume === undefined
          ? []
          : [`how far the search was could not be kept, so that it cannot be resumed: ${cannotResume}`],
    };
  }
}

function withDecomposition(
  document: UtilizationDocument,
  { after, files, notes }: Decomposition,
): UtilizationDocument {
  const { summary } = document;
  return {
    ...document,
    ...(after !== undefined && { summary: { ...summary, afterDecomposition: after } }),
    ...(files !== undefined && { files }),
    notes: [...document.notes, ...notes],
  };
}

/** The same failure with the layer it is about. */
function naming(layer: string, signal: AbortSignal): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof Error) || signal.aborted) throw error;
    throw new Error(`layer ${printable(layer)}: ${error.message}`, { cause: error });
  };
}
