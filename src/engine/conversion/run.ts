/** The work of a conversion: spectra, ranks, fits, spectra of what came out; several layers at once. */
import { setMaxListeners } from 'node:events';
import type { Checkpoint } from '../../checkpoint/checkpoint';
import type { Layer } from '../../checkpoint/layers';
import type { LayerFactors } from '../../checkpoint/write/factorFile';
import type { StagedFiles } from '../../checkpoint/write/staging';
import type { Factorization } from '../../lowrank';
import type { ConvertOptions } from '../convert';
import type { LayerConversion } from '../conversionDocument';
import { spectraOf } from '../layerSpectra';
import { ProgressMeter } from '../progress';
import { TensorDigests } from '../tensorDigests';
import { convertedSpectra } from './convertedSpectra';
import { layerFactors, stackFactors } from './converted';
import { FactorStore } from './factorStore';
import type { LayerInputs } from './layerInputs';
import { fitLayer, notFinite, type FitContext, type FitRequest, type LayerFitResult } from './layerFit';
import { convertedLayer, denseLayer } from './outcome';
import { giveRanks, type RankCandidate, type RankGiven } from './ranks';
import { wholeStacks } from './selection';
import type { Targets } from './targets';
import { modelParameters } from '../../checkpoint/layers';

/** What became of a layer that was to be converted. */
export interface LayerOutcome {
  readonly conversion: LayerConversion;
  /** Absent where it stays dense. */
  readonly factors?: LayerFactors;
  /** Nothing was fitted for it: its factors were known. */
  readonly free: boolean;
}

export interface RunOptions extends Pick<
  ConvertOptions,
  'ranks' | 'omega' | 'gain' | 'steps' | 'backend' | 'signal' | 'cache' | 'onLayer' | 'onProgress'
> {
  readonly seed: number;
  readonly checkpoint: Checkpoint;
  readonly staged: StagedFiles;
  readonly targets: Targets;
  /** Of those layers whose errors are measured on their inputs, by name. */
  readonly layerInputs?: ReadonlyMap<string, LayerInputs>;
}

/** A layer whose spectrum is known and that gets a rank, or the reason why it stays dense. */
interface Planned {
  readonly layer: Layer;
  readonly index: number;
  readonly spectra: readonly Float64Array[];
  /** Squared singular values of each matrix, in the norm in which its error is measured. */
  readonly energies: readonly Float64Array[];
  readonly given: RankGiven;
}

/** Adam steps and candidates of a fit, in multiply-adds with m·n·k each, for progress alone. */
const FIT_PASSES = 2000;

/** @returns outcomes in the order of the layers */
export async function convertLayers(
  wanted: readonly Layer[],
  method: Factorization,
  options: RunOptions,
): Promise<LayerOutcome[]> {
  const { onProgress } = options;
  // Until ranks are known, the fits count as if every layer got a tenth of its directions.
  const spectraWork = wanted.reduce((sum, layer) => sum + layer.parameters * smallSide(layer), 0);
  const guessed = wanted.reduce((sum, layer) => sum + fitWork(layer, smallSide(layer) / 10), 0);
  const spectra = await originalSpectra(wanted, options, (fraction, label) => {
    const share = (fraction * spectraWork) / (spectraWork + guessed);
    onProgress?.({ done: 0, total: wanted.length, fraction: share, ...(label !== undefined && { label }) });
  });
  const planned = plan(wanted, spectra, method, options);
  const works = planned.map(({ layer, given }) => ('rank' in given ? fitWork(layer, given.rank) : 1));
  const total = works.reduce((sum, work) => sum + work, 0);
  const before = spectraWork / (spectraWork + Math.max(total, 1));
  const meter = new ProgressMeter(works, (progress) => {
    onProgress?.({ ...progress, fraction: before + (1 - before) * progress.fraction });
  });
  const run = new ConversionRun(method, options, meter);
  return run.all(planned, works);
}

function smallSide({ shape: [m, n] }: Layer): number {
  return Math.min(m, n);
}

function fitWork({ parameters }: Layer, rank: number): number {
  return FIT_PASSES * parameters * (rank + 8);
}

type Spectra = readonly Float64Array[] | { readonly reason: string };

async function originalSpectra(
  layers: readonly Layer[],
  { backend, signal, cache }: RunOptions,
  report: (fraction: number, label?: string) => void,
): Promise<Spectra[]> {
  const found: Spectra[] = layers.map(() => ({ reason: 'unknown: no spectrum' }));
  const onProgress = ({ fraction, label }: { readonly fraction: number; readonly label?: string }): void => {
    report(fraction, label);
  };
  await spectraOf(layers, { backend, signal, cache, onProgress }, (index, layer, result) => {
    if (result.kind === 'spectra') found[index] = result.singularValues.slice(0, layer.matrices.length);
    else if (result.kind === 'tooLarge') found[index] = { reason: `too large: ${result.reason}` };
    else found[index] = { reason: notFinite(result.nonFinite) };
  });
  return found;
}

/** Gives every layer its rank. @throws {Error} for a compression rate that cannot be met */
function plan(
  layers: readonly Layer[],
  spectra: readonly Spectra[],
  method: Factorization,
  { ranks, checkpoint, layerInputs }: RunOptions,
): Planned[] {
  const reasons = layers.map((layer, i) => {
    const known = spectra[i];
    if (known === undefined || 'reason' in known)
      return { layer, reason: known?.reason ?? 'unknown: no spectrum' };
    const isZero = known.some((values) => !((values[0] ?? 0) > 0));
    return isZero ? { layer, reason: 'zero: nothing to approximate' } : { layer };
  });
  const fit = wholeStacks(reasons);
  const candidates = fit.flatMap(({ layer, reason }, i): RankCandidate[] => {
    const known = spectra[i];
    if (reason !== undefined || known === undefined || 'reason' in known) return [];
    const [m, n] = layer.shape;
    const ofGroups = energiesOf(layer, known, layerInputs);
    const energies = Array.from({ length: Math.min(m, n) }, (_, at) =>
      ofGroups.reduce((sum, values) => sum + (values[at] ?? 0), 0),
    );
    const largestSavingRank = method.largestSavingRank(m, n);
    return [{ name: layer.name, shape: layer.shape, groups: known.length, largestSavingRank, energies }];
  });
  const given = giveRanks(candidates, ranks, modelParameters(checkpoint));
  const byName = new Map(candidates.map(({ name }, i) => [name, given[i]]));
  const withRanks = fit.map(({ layer, reason }) => {
    const one = reason === undefined ? byName.get(layer.name) : { reason };
    return one ?? { reason: 'unknown: no rank' };
  });
  // A stack whose experts do not all get a rank stays whole.
  const whole = wholeStacks(
    withRanks.map((one, i) => {
      const { layer } = fit[i] ?? {};
      if (layer === undefined) throw new RangeError('a rank without a layer');
      return 'reason' in one ? { layer, reason: one.reason } : { layer };
    }),
  );
  return whole.map(({ layer, reason }, index) => {
    const known = spectra[index];
    const own = withRanks[index] ?? { reason: 'unknown: no rank' };
    const spectraKnown = known === undefined || 'reason' in known ? [] : known;
    return {
      layer,
      index,
      spectra: spectraKnown,
      energies: energiesOf(layer, spectraKnown, layerInputs),
      given: reason === undefined ? own : { reason },
    };
  });
}

function energiesOf(
  { name }: Layer,
  spectra: readonly Float64Array[],
  layerInputs: RunOptions['layerInputs'],
): readonly Float64Array[] {
  return layerInputs?.get(name)?.energies ?? spectra.map((values) => values.map((value) => value * value));
}

/** Fits planned layers in lanes, largest first. */
class ConversionRun {
  private readonly store: FactorStore;
  private readonly stop = new AbortController();

  constructor(
    private readonly method: Factorization,
    private readonly options: RunOptions,
    private readonly meter: ProgressMeter,
  ) {
    this.store = new FactorStore(options.staged, options.targets.factors);
    // Every request in flight listens; Node would take more than ten for a leak.
    setMaxListeners(0, this.stop.signal);
  }

  async all(planned: readonly Planned[], works: readonly number[]): Promise<LayerOutcome[]> {
    const { signal, cache, backend } = this.options;
    const outcomes: LayerOutcome[] = [];
    const order = [...planned].sort((a, b) => (works[b.index] ?? 0) - (works[a.index] ?? 0));
    const digests = cache === null ? undefined : new TensorDigests(cache, backend);
    const context = this.contextOf(digests);
    const onAbort = (): void => {
      this.stop.abort(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let item = order[next++]; item !== undefined; item = order[next++]) {
        const outcome = await this.one(item, context);
        outcomes[item.index] = outcome;
        this.options.onLayer?.(outcome.conversion, item.index);
        this.meter.finish(item.index, item.layer.name, outcome.free);
      }
    };
    try {
      // One lane more than workers, so that a worker never waits for the next layer's cache look-up.
      await Promise.all(Array.from({ length: backend.concurrency + 1 }, lane));
    } catch (error) {
      this.stop.abort(error);
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      await digests?.save();
    }
    return withoutBrokenStacks(planned, outcomes);
  }

  private contextOf(digests: TensorDigests | undefined): FitContext {
    const { backend, seed, omega, gain, steps, cache } = this.options;
    return {
      method: this.method,
      backend,
      signal: this.stop.signal,
      cache: cache === null || digests === undefined ? null : { results: cache, digests },
      seed,
      ...(omega !== undefined && { omega }),
      ...(gain !== undefined && { gain }),
      ...(steps !== undefined && { steps }),
    };
  }

  private async one(
    { layer, index, spectra, energies, given }: Planned,
    context: FitContext,
  ): Promise<LayerOutcome> {
    if ('reason' in given) return { conversion: denseLayer(layer, given.reason), free: true };
    const start = performance.now();
    const { ranks, layerInputs, checkpoint } = this.options;
    const inputGrams = await layerInputs?.get(layer.name)?.grams();
    const request: FitRequest = {
      layer,
      rank: given.rank,
      energies: energies.map((values) => values.reduce((sum, value) => sum + value, 0)),
      ...(ranks.kind === 'error' && { targetError: ranks.relativeError }),
      ...(inputGrams !== undefined && { inputGrams }),
    };
    const fit: LayerFitResult = await fitLayer(request, context, (fraction) => {
      this.meter.advance(index, fraction);
    });
    if (fit.kind === 'refused') return { conversion: denseLayer(layer, fit.reason), free: false };
    const factors = stackFactors(fit.matrices);
    const all = await convertedSpectra({ layer, fit, factors, original: spectra, inputGrams }, context);
    const seconds = (performance.now() - start) / 1000;
    return {
      conversion: {
        ...convertedLayer(layer, fit, all, this.method, seconds),
        ...(inputGrams !== undefined && { weighted: true }),
      },
      factors: await layerFactors(layer, factors, this.store, checkpoint.factored),
      free: fit.free,
    };
  }
}

/** An expert that was refused at last keeps its whole stack dense. */
function withoutBrokenStacks(planned: readonly Planned[], outcomes: readonly LayerOutcome[]): LayerOutcome[] {
  const kept = wholeStacks(
    planned.map(({ layer, index }) => {
      const conversion = outcomes[index]?.conversion;
      return conversion?.outcome === 'dense' ? { layer, reason: conversion.reason } : { layer };
    }),
  );
  return kept.flatMap(({ layer, reason }, i): LayerOutcome[] => {
    const outcome = outcomes[i];
    if (outcome === undefined) return [];
    const isBroken = reason !== undefined && outcome.conversion.outcome === 'converted';
    return [isBroken ? { conversion: denseLayer(layer, reason), free: outcome.free } : outcome];
  });
}
