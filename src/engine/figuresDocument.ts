/** `rankscope/figure@1`: one figure as numbers. Its JSON Schema is in `media/schema/`; change both together. */
import type { EnergyLevel } from '../spectrum';

export const FIGURE_NUMBERS = [1, 2, 3] as const;
export type FigureNumber = (typeof FIGURE_NUMBERS)[number];

/** What is done to each entry of ω·U·Vᵀ; `identity` leaves the low-rank matrix as it is. */
export type Activation = 'identity' | 'sine' | 'sigmoid' | 'relu';

/** One matrix of a figure and its ranks. */
export interface FigureMatrix {
  readonly label: string;
  /** [m, n], out × in. */
  readonly shape: readonly [number, number];
  /** Of the factors; absent for a full-rank matrix. */
  readonly k?: number;
  /** Absent for a full-rank matrix. */
  readonly activation?: Activation;
  /** Absent for the full-rank and the low-rank matrix. */
  readonly omega?: number;
  /** σ₁, before anything is scaled. */
  readonly spectralNorm: number;
  readonly stableRank: number;
  readonly effectiveRank: number;
  readonly energyRanks: Readonly<Record<EnergyLevel, number>>;
}

export interface Spectrum extends FigureMatrix {
  /** σᵢ/σ₁, descending. */
  readonly singularValues: readonly number[];
}

/** Spectra over their index, the largest value scaled to 1. */
export interface SpectraPanel {
  readonly kind: 'spectra';
  readonly title: string;
  readonly spectra: readonly Spectrum[];
}

/** The entries of one matrix. */
export interface HeatMapPanel {
  readonly kind: 'heatMap';
  readonly title: string;
  readonly matrix: FigureMatrix;
  /** Rows, to float32. */
  readonly values: readonly (readonly number[])[];
}

/** Ranks of sin(ω·U·Vᵀ) of one pair of factors as ω grows. */
export interface RanksPanel {
  readonly kind: 'ranks';
  readonly title: string;
  readonly fullRank: FigureMatrix;
  readonly lowRank: FigureMatrix;
  /** By ω, ascending. */
  readonly sine: readonly FigureMatrix[];
  /** Proposition 1 for A = U·Vᵀ: where it speaks, and the most it says there. */
  readonly proposition1: {
    readonly smallestEntry: number;
    readonly rootNorm: number;
    readonly omegaLimit: number;
    readonly boundAtLimit: number;
  };
}

export type FigurePanel = SpectraPanel | HeatMapPanel | RanksPanel;

export interface FigureDocument {
  readonly schema: 'rankscope/figure@1';
  readonly tool: { readonly name: 'rankscope'; readonly version: string };
  /** What computed the singular values. */
  readonly backend: { readonly name: string; readonly build: string };
  readonly startedAt: string;
  readonly seconds: number;
  /** Of Ji et al., "Sine activated low-rank matrices for parameter efficient learning". */
  readonly figure: FigureNumber;
  readonly title: string;
  /** How the matrices were made, and what the paper leaves open. */
  readonly caption: string;
  readonly seed: number;
  readonly panels: readonly FigurePanel[];
}
