/**
 * The figures of Ji et al., "Sine activated low-rank matrices for parameter efficient learning", whose numbers do not
 * come from training: what each shows, and the choices that its caption leaves open.
 */
import type { ComputeBackend } from '../../compute';
import { ranksOverOmega, type DenseMatrix } from '../../lowrank/rankSweep';
import { proposition1 } from '../../lowrank/theory';
import type {
  Activation,
  FigureDocument,
  FigureNumber,
  FigurePanel,
  HeatMapPanel,
  RanksPanel,
  SpectraPanel,
  Spectrum,
} from '../figuresDocument';
import {
  factsOf,
  fullRankMatrix,
  lowRankMatrix,
  nonLinear,
  spectrumOf,
  withoutValues,
  type Naming,
} from './matrices';

export type FigureContent = Pick<FigureDocument, 'title' | 'caption' | 'panels'>;

export interface Drawing {
  readonly seed: number;
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
}

/** ViT-Base's feed-forward network, 768 → 3072. */
const VIT_BASE = { rows: 3072, columns: 768, k: 5 } as const;

/** Figure 2's largest frequency. */
const VIT_BASE_OMEGA = 2000;

const HEAT_MAP = { size: 128, k: 1, omegas: [100, 2000] } as const;
const COMPARED = { size: 256, k: 5 } as const;

/** At this one, sine is as far up as it gets; ReLU's spectrum is the same at every positive ω. */
const COMPARED_OMEGA = 500;

const SWEEP = [10, 50, 100, 150, 200, 500] as const;

/** Points of the curve of ranks, evenly on a logarithmic axis: three a doubling. */
const RANK_CURVE = { from: 10, to: 4000, points: 27 } as const;

const HOW = 'All matrices are Kaiming-uniform, 𝒰(−√(6/fan), √(6/fan)); the fan of W is n, of U m and of V n.';

export const FIGURES: Readonly<Record<FigureNumber, (drawing: Drawing) => Promise<FigureContent>>> = {
  1: figure1,
  2: figure2,
  3: figure3,
};

async function figure1(drawing: Drawing): Promise<FigureContent> {
  const { rows, columns, k } = VIT_BASE;
  const A = lowRankMatrix(rows, columns, k, drawing.seed);
  const spectra = await Promise.all([
    fullRank(fullRankMatrix(rows, columns, drawing.seed), drawing),
    lowRank(A, k, drawing),
    spectrumUnder(A, k, 'sine', VIT_BASE_OMEGA, drawing),
  ]);
  return {
    title: 'Spectra at initialisation',
    caption:
      `A layer of ViT-Base’s feed-forward network, ${rows} × ${columns}. ${HOW} The paper gives neither k nor ω here: ` +
      `k = ${k} and ω = ${VIT_BASE_OMEGA} are ours. Its right half, accuracies after training, is not redrawn.`,
    panels: [{ kind: 'spectra', title: `Spectra, ${rows} × ${columns}`, spectra }],
  };
}

async function figure2(drawing: Drawing): Promise<FigureContent> {
  const { size, k, omegas } = HEAT_MAP;
  const A = lowRankMatrix(size, size, k, drawing.seed);
  const W = fullRankMatrix(size, size, drawing.seed);
  const panels = await Promise.all([
    heatMap('full rank', W, fullRank(W, drawing)),
    heatMap(`low rank, k = ${k}`, A, lowRank(A, k, drawing)),
    ...omegas.map((omega) =>
      heatMap(
        `sin(ωUVᵀ), ω = ${omega}`,
        nonLinear(A, 'sine', omega),
        spectrumUnder(A, k, 'sine', omega, drawing),
      ),
    ),
  ]);
  return {
    title: 'Entries of full-rank, low-rank and sine-activated low-rank matrices',
    caption:
      `${size} × ${size}, k = ${k}. ${HOW} The paper shows magnitudes; the signs are kept here. ` +
      'Each matrix has its own scale of colours.',
    panels,
  };
}

async function figure3(drawing: Drawing): Promise<FigureContent> {
  const { size, k } = COMPARED;
  const W = fullRankMatrix(size, size, drawing.seed);
  const A = lowRankMatrix(size, size, k, drawing.seed);
  const [full, low] = await Promise.all([fullRank(W, drawing), lowRank(A, k, drawing)]);
  const activations: readonly Activation[] = ['sine', 'sigmoid', 'relu'];
  const left: SpectraPanel = {
    kind: 'spectra',
    title: `φ(ωUVᵀ) at ω = ${COMPARED_OMEGA}`,
    spectra: [
      full,
      low,
      ...(await Promise.all(activations.map((phi) => spectrumUnder(A, k, phi, COMPARED_OMEGA, drawing)))),
    ],
  };
  const sweep = await Promise.all(SWEEP.map((omega) => spectrumUnder(A, k, 'sine', omega, drawing)));
  const right: SpectraPanel = {
    kind: 'spectra',
    title: 'sin(ωUVᵀ) as ω grows',
    spectra: [full, low, ...sweep.map((spectrum) => ({ ...spectrum, label: `ω = ${spectrum.omega ?? 0}` }))],
  };
  return {
    title: 'Spectra of a low-rank matrix under non-linearities and frequencies',
    caption:
      `${size} × ${size}, k = ${k}. ${HOW} The paper gives no values of ω here: they are ours. ` +
      'The panel of ranks is added.',
    panels: [left, right, await ranks(A, k, full, low, drawing)],
  };
}

async function ranks(
  A: DenseMatrix,
  k: number,
  full: Spectrum,
  low: Spectrum,
  drawing: Drawing,
): Promise<RanksPanel> {
  const { from, to, points } = RANK_CURVE;
  const omegas = Array.from({ length: points }, (_, i) => {
    const exact = from * (to / from) ** (i / (points - 1));
    return Number(exact.toPrecision(3));
  });
  const sine = await ranksOverOmega(A, omegas, drawing.backend, drawing.signal);
  const { smallestEntry, rootNorm, omegaLimit, rankBound } = proposition1(A.values, A.rows, A.columns);
  return {
    kind: 'ranks',
    title: 'Rank of sin(ωUVᵀ)',
    fullRank: withoutValues(full),
    lowRank: withoutValues(low),
    sine: sine.map(({ omega, metrics }) => factsOf(A, namingOf(k, 'sine', omega), metrics)),
    proposition1: { smallestEntry, rootNorm, omegaLimit, boundAtLimit: rankBound(omegaLimit) },
  };
}

function fullRank(W: DenseMatrix, { backend, signal }: Drawing): Promise<Spectrum> {
  return spectrumOf(W, { label: 'full rank' }, backend, signal);
}

function lowRank(A: DenseMatrix, k: number, { backend, signal }: Drawing): Promise<Spectrum> {
  return spectrumOf(A, { label: `low rank, k = ${k}`, k, activation: 'identity' }, backend, signal);
}

function namingOf(k: number, activation: Activation, omega: number): Naming {
  return { label: labelOf(activation, omega), k, activation, omega };
}

function labelOf(activation: Activation, omega: number): string {
  switch (activation) {
    case 'identity':
      return 'low rank';
    case 'relu':
      return 'ReLU, any ω';
    case 'sine':
    case 'sigmoid':
      return `${activation}, ω = ${omega}`;
  }
}

function spectrumUnder(
  A: DenseMatrix,
  k: number,
  activation: Activation,
  omega: number,
  { backend, signal }: Drawing,
): Promise<Spectrum> {
  return spectrumOf(nonLinear(A, activation, omega), namingOf(k, activation, omega), backend, signal);
}

async function heatMap(
  title: string,
  matrix: DenseMatrix,
  spectrum: Promise<Spectrum>,
): Promise<FigurePanel> {
  const { rows, columns, values } = matrix;
  const panel: HeatMapPanel = {
    kind: 'heatMap',
    title,
    matrix: withoutValues(await spectrum),
    values: Array.from({ length: rows }, (_, i) =>
      // Nine digits tell every float32 apart.
      Array.from(values.subarray(i * columns, (i + 1) * columns), (value) => Number(value.toPrecision(9))),
    ),
  };
  return panel;
}
