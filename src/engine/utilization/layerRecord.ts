import type { ChosenDimensions, LayerLedger, LayerProjections, ProjectionFacts } from '../../utilization';
import { mean } from '../../utilization';
import type { LayerUtilization } from '../utilizationDocument';

/** A layer's entry in the document, with its spectra. */
export function recordOf(
  projections: LayerProjections,
  choice: Pick<ChosenDimensions, 'kS' | 'kT' | 'probes' | 'valueAfter'>,
  { energyS, energyT, utilizedRanks, error }: ProjectionFacts,
  ledger: LayerLedger,
): LayerUtilization {
  const { layer } = projections;
  const maxRank = Math.min(...layer.shape);
  const utilizedRank = mean(utilizedRanks);
  const { kS, kT, probes, valueAfter } = choice;
  return {
    name: layer.name,
    kind: layer.kind,
    shape: layer.shape,
    ...(layer.groups > 1 && { groups: layer.groups }),
    maxRank,
    rank: projections.rank,
    kS,
    kT,
    energyS,
    energyT,
    utilizedRank,
    utilization: utilizedRank / maxRank,
    decomposable: ledger.decomposable,
    error,
    parametersBefore: ledger.parametersBefore,
    parametersAfter: ledger.parametersAfter,
    flopsBefore: ledger.flopsBefore,
    flopsAfter: ledger.flopsAfter,
    ...(valueAfter !== undefined && { valueAfter }),
    probes,
    inputEnergies: shares(projections.inputEnergies),
    outputEnergies: shares(projections.outputEnergies),
  };
}

function shares(energies: Float64Array): number[] {
  const sum = energies.reduce((total, energy) => total + energy, 0);
  return Array.from(energies, (energy) => (sum > 0 ? energy / sum : 0));
}

export function withoutSpectra(record: LayerUtilization): LayerUtilization {
  const { inputEnergies: _, outputEnergies: __, ...layer } = record;
  return layer;
}

/** Parameters and FLOPs over the whole network, before and after. */
export interface Totals {
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  readonly flopsBefore: number;
  readonly flopsAfter: number;
}

/**
 * @param parameters of the whole model, layers that are not measured among them
 * @param flops of one sample, of each linear and convolution layer of the network
 */
export function totalsOf(
  records: readonly LayerUtilization[],
  parameters: number,
  flops: readonly number[],
): Totals {
  const saved = (of: (record: LayerUtilization) => number): number =>
    records.reduce((sum, record) => sum + of(record), 0);
  const flopsBefore = flops.reduce((sum, one) => sum + one, 0);
  return {
    parametersBefore: parameters,
    parametersAfter: parameters - saved((layer) => layer.parametersBefore - layer.parametersAfter),
    flopsBefore,
    flopsAfter: flopsBefore - saved((layer) => layer.flopsBefore - layer.flopsAfter),
  };
}

export function meanOver(
  records: readonly LayerUtilization[],
  of: (record: LayerUtilization) => number,
): number | null {
  return records.length === 0 ? null : mean(records.map(of));
}
