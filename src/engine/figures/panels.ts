/** Each kind of panel as a drawing. */
import type {
  Activation,
  FigureDocument,
  FigureMatrix,
  FigurePanel,
  RanksPanel,
  SpectraPanel,
  Spectrum,
} from '../figuresDocument';
import { chart, type Axis, type Curve } from './chart';
import { heatMap } from './heatMap';
import { figureSvg, type Colour, type Drawn } from './svg';

/** A figure as an SVG file of its own: nothing fetched, no scripts, the same bytes for the same numbers. */
export function renderSvg({ figure, title, caption, seed, panels }: FigureDocument): string {
  return figureSvg(`Figure ${figure}. ${title}`, `${caption} Seed ${seed}.`, panels.map(drawPanel));
}

function drawPanel(panel: FigurePanel): Drawn {
  switch (panel.kind) {
    case 'spectra':
      return spectra(panel);
    case 'heatMap':
      return heatMap(panel);
    case 'ranks':
      return ranks(panel);
  }
}

const DASHES = '5 4';

function spectra({ title, spectra: all }: SpectraPanel): Drawn {
  const length = Math.max(...all.map(({ singularValues }) => singularValues.length));
  const sines = all.filter(({ activation }) => activation === 'sine');
  const curves = all.map((spectrum): Curve => {
    const { label, singularValues, stableRank, energyRanks, activation } = spectrum;
    return {
      label,
      numbers: [stableRank.toFixed(1), String(energyRanks['0.99'])],
      colour: colourOf(spectrum, sines),
      points: singularValues.map((value, i) => [i + 1, value] as const),
      ...(activation === 'identity' && { dashes: DASHES }),
    };
  });
  return chart({
    title,
    x: { label: 'index i', scale: 'linear', from: 1, to: length, ticks: evenTicks(length) },
    y: { label: 'σᵢ/σ₁', scale: 'linear', from: 0, to: 1, ticks: [0, 0.2, 0.4, 0.6, 0.8, 1] },
    curves,
    headings: ['stable rank', 'r(0.99)'],
  });
}

const COLOURS: Readonly<Record<Activation, Colour>> = {
  identity: 'gray',
  sine: 'blue',
  sigmoid: 'orange',
  relu: 'green',
};
const RAMP: readonly Colour[] = ['ramp0', 'ramp1', 'ramp2', 'ramp3', 'ramp4', 'ramp5'];

/** Several sines are a sweep and share a ramp, the highest frequency ending in the colour of sine. */
function colourOf(spectrum: Spectrum, sines: readonly Spectrum[]): Colour {
  const { activation } = spectrum;
  if (activation === undefined) return 'ink';
  if (activation !== 'sine' || sines.length === 1) return COLOURS[activation];
  const share = sines.indexOf(spectrum) / (sines.length - 1);
  return RAMP[Math.round(share * (RAMP.length - 1))] ?? 'blue';
}

/** 1 and six or so round numbers up to `length`. */
function evenTicks(length: number): number[] {
  const rough = length / 6;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size >= rough) ?? rough;
  return [1, ...Array.from({ length: Math.floor(length / step) }, (_, i) => (i + 1) * step)];
}

function ranks({ title, fullRank, lowRank, sine, proposition1 }: RanksPanel): Drawn {
  const omegas = sine.map(({ omega }) => omega ?? NaN);
  const x: Axis = {
    label: 'ω',
    scale: 'logarithmic',
    from: omegas[0] ?? 1,
    to: omegas.at(-1) ?? 10,
    ticks: [10, 30, 100, 300, 1000, 3000].filter((tick) => tick <= (omegas.at(-1) ?? 0)),
  };
  const side = Math.min(...fullRank.shape);
  const curveOf = (label: string, colour: Colour, of: (matrix: FigureMatrix) => number): Curve[] => [
    {
      label,
      numbers: [lowRank, fullRank].map((matrix) => trimmed(of(matrix))),
      colour,
      points: sine.map((matrix, i) => [omegas[i] ?? NaN, of(matrix)] as const),
    },
  ];
  return chart({
    title,
    x,
    y: { label: 'rank', scale: 'linear', from: 0, to: side, ticks: evenTicks(side).slice(1) },
    curves: [
      ...curveOf('r(0.9999)', 'orange', ({ energyRanks }) => energyRanks['0.9999']),
      ...curveOf('r(0.99)', 'blue', ({ energyRanks }) => energyRanks['0.99']),
      ...curveOf('effective rank', 'green', ({ effectiveRank }) => effectiveRank),
      ...curveOf('stable rank', 'ramp3', ({ stableRank }) => stableRank),
    ],
    headings: ['low rank', 'full rank'],
    footnotes: [
      `Proposition 1: for ω up to ${powerOfTen(proposition1.omegaLimit)}, where it`,
      `ends, the rank is at least ${powerOfTen(proposition1.boundAtLimit)}.`,
    ],
  });
}

function trimmed(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}

/** Two digits and an exponent: 3.8·10⁶. */
function powerOfTen(value: number): string {
  const [digits = '', exponent = ''] = value.toExponential(1).split('e');
  const raised = Array.from(exponent.replace('+', ''), (sign) => SUPERSCRIPTS[sign] ?? sign).join('');
  return `${digits}·10${raised}`;
}

const SUPERSCRIPTS: Readonly<Record<string, string>> = Object.fromEntries(
  Array.from('-0123456789', (sign, i) => [sign, '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'.charAt(i)]),
);
