import type { OnFraction } from '../backend';
import {
  BETA1,
  BETA2,
  correctedRate,
  factorUnit,
  generatorState,
  gramScale,
  heatAt,
  isLook,
  isSettled,
  type Schedule,
} from '../sineSchedule';
import type { DenseMatrix } from './denseMatrix';
import type { Factors } from './factors';
import type { KernelInstance } from './kernels';

/** Rows whose gradient is taken in one call; their tiles stay in the cache. */
const BLOCK_ROWS = 64;

/** Columns of the kernels' tiles. */
const TILE_COLUMNS = 64;

/** Where a descent begins, and where it ends. */
export interface SinePoint extends Factors {
  readonly amplitude: number;
}

/** One factor, its gradient and its moments: kernel addresses of rows × ld float32. */
interface Parameters {
  readonly rows: number;
  readonly length: number;
  readonly x: number;
  readonly gradient: number;
  readonly first: number;
  readonly second: number;
}

/** Bytes of kernel memory of a descent. */
export function descentBytes(rows: number, columns: number, rank: number, isWeighted: boolean): number {
  const ld = Math.ceil(rank / 4) * 4;
  const factors = 4 * 4 * ld * (rows + columns + 16);
  const packed = 4 * rank * (columns + TILE_COLUMNS);
  const width = columns + 8;
  return (
    factors +
    packed +
    4 * BLOCK_ROWS * (isWeighted ? 3 * width : TILE_COLUMNS) +
    (isWeighted ? 4 * width * width : 0)
  );
}

/**
 * Minimises ‖W − a·sin(U·Vᵀ)‖² over U, V and log a: Adam with a cosine schedule, and noise on the factors that is
 * annealed to nothing. The objective has very many minima, and descent alone stops in the first: noise about a fifth of
 * the phases' size lets phases change the branch of the arcsine that they are on.
 */
export class SineDescent {
  private readonly ld: number;
  private readonly U: Parameters;
  private readonly V: Parameters;
  private readonly packed: number;
  private readonly tile: number;
  private readonly sums: number;
  private readonly random: number;
  private readonly G: number | undefined;

  /** @param G input Gram matrix in float64, columns × columns, for the norm of the inputs. */
  constructor(
    private readonly W: DenseMatrix,
    private readonly rank: number,
    G: Float64Array | undefined,
    private readonly instance: KernelInstance,
  ) {
    this.ld = Math.ceil(rank / 4) * 4;
    this.U = this.parameters(W.rows, W.paddedRows);
    this.V = this.parameters(W.columns, W.ld);
    this.packed = instance.allocate(4 * rank * Math.ceil(W.ld / TILE_COLUMNS) * TILE_COLUMNS);
    this.tile = instance.allocate(4 * BLOCK_ROWS * (G === undefined ? TILE_COLUMNS : 3 * W.ld));
    this.sums = instance.allocate(32);
    this.random = instance.allocate(4);
    this.G = G === undefined ? undefined : this.hold(G);
  }

  /** @returns the point reached and the steps taken: fewer than the schedule's when nothing more was gained. */
  run(
    start: SinePoint,
    schedule: Schedule,
    onFraction: OnFraction,
  ): { readonly point: SinePoint; readonly steps: number } {
    const { steps, rate, noise } = schedule;
    const unit = factorUnit(this.rank);
    this.begin(start, schedule.seed);
    const amplitude = new LogAmplitude(start.amplitude, schedule.amplitudeRate);
    let [best, step] = [Infinity, 0];
    while (step < steps) {
      const heat = heatAt(step, steps);
      if (heat > 0 && noise > 0) this.shake(noise * heat * unit);
      const { objective, slope } = this.evaluate(amplitude.value);
      if (isLook(step, steps)) {
        if (isSettled(objective, best)) break;
        best = objective;
      }
      const corrected = correctedRate(step, steps);
      step++;
      for (const parameters of [this.U, this.V]) this.adam(parameters, rate * unit * corrected);
      amplitude.step(slope, corrected);
      onFraction(step / steps);
    }
    return { point: this.point(amplitude.value), steps: step };
  }

  /** Objective, its derivative by log a, and its gradient at a point. */
  gradient(at: SinePoint): { readonly objective: number; readonly slope: number } & Factors {
    this.begin(at, 1);
    const sums = this.evaluate(at.amplitude);
    const gradientOf = (parameters: Parameters): Float32Array =>
      this.unpadded(parameters, 'gradient').map((x) => x * at.amplitude);
    return { ...sums, rank: this.rank, U: gradientOf(this.U), V: gradientOf(this.V) };
  }

  private begin({ U, V }: SinePoint, seed: number): void {
    this.load(this.U, U);
    this.load(this.V, V);
    this.instance.int32(this.random, 1)[0] = generatorState(seed);
  }

  /**
   * ½‖R‖² of R = a·sin(U·Vᵀ) − W (in the norm of the inputs) and its derivative by log a. Gradients stay in memory,
   * divided by a, which Adam does not see.
   */
  private evaluate(amplitude: number): { objective: number; slope: number } {
    const { W, U, V, ld, rank, instance } = this;
    const { kernels } = instance;
    for (const { gradient, length } of [U, V]) instance.float32(gradient, length).fill(0);
    instance.float64(this.sums, 4).fill(0);
    kernels.packTransposed32(V.x, W.ld, ld, rank, this.packed);
    for (let row = 0; row < W.paddedRows; row += BLOCK_ROWS) {
      const rows = Math.min(BLOCK_ROWS, W.paddedRows - row);
      const w = W.address + row * W.ld * 4;
      const u = U.x + row * ld * 4;
      const gradient = U.gradient + row * ld * 4;
      if (this.G === undefined)
        kernels.sineGradient(
          rows,
          W.ld,
          rank,
          ld,
          w,
          W.ld,
          amplitude,
          u,
          V.x,
          this.packed,
          gradient,
          V.gradient,
          this.sums,
          this.tile,
        );
      else
        kernels.weightedSineGradient(
          rows,
          W.ld,
          rank,
          ld,
          w,
          W.ld,
          amplitude,
          u,
          V.x,
          this.packed,
          gradient,
          V.gradient,
          this.sums,
          this.tile,
          this.G,
        );
    }
    const [squares = NaN, projection = NaN] = instance.float64(this.sums, 2);
    return { objective: squares / 2, slope: amplitude * projection };
  }

  private shake(sigma: number): void {
    for (const { rows, x } of [this.U, this.V])
      this.instance.kernels.addNoise(rows, this.rank, this.ld, x, sigma, this.random);
  }

  private adam({ length, x, gradient, first, second }: Parameters, rate: number): void {
    this.instance.kernels.adamStep(length, x, gradient, first, second, BETA1, BETA2, rate);
  }

  private point(amplitude: number): SinePoint {
    return { rank: this.rank, amplitude, U: this.unpadded(this.U, 'x'), V: this.unpadded(this.V, 'x') };
  }

  private parameters(rows: number, paddedRows: number): Parameters {
    const length = paddedRows * this.ld;
    const allocate = (): number => this.instance.allocate(length * 4);
    return { rows, length, x: allocate(), gradient: allocate(), first: allocate(), second: allocate() };
  }

  private load({ rows, length, x, first, second }: Parameters, values: Float32Array): void {
    const { ld, rank, instance } = this;
    for (const address of [first, second]) instance.float32(address, length).fill(0);
    const to = instance.float32(x, length).fill(0);
    for (let i = 0; i < rows; i++) to.set(values.subarray(i * rank, (i + 1) * rank), i * ld);
  }

  private unpadded({ rows, length, ...addresses }: Parameters, which: 'x' | 'gradient'): Float32Array {
    const { ld, rank } = this;
    const from = this.instance.float32(addresses[which], length);
    const values = new Float32Array(rows * rank);
    for (let i = 0; i < rows; i++) values.set(from.subarray(i * ld, i * ld + rank), i * rank);
    return values;
  }

  /** G in float32, padded with zeros. Only its direction counts: it is divided by the mean of its diagonal. */
  private hold(G: Float64Array): number {
    const { columns, ld } = this.W;
    const address = this.instance.allocate(4 * ld * ld);
    const held = this.instance.float32(address, ld * ld).fill(0);
    const factor = gramScale(G, columns);
    for (let i = 0; i < columns; i++)
      for (let j = 0; j < columns; j++) held[i * ld + j] = (G[i * columns + j] ?? 0) * factor;
    return address;
  }
}

/** The amplitude a, descended by its logarithm so that it stays positive: Adam in one dimension. */
class LogAmplitude {
  private log: number;
  private first = 0;
  private second = 0;

  constructor(
    private readonly start: number,
    private readonly rate: number,
  ) {
    this.log = 0;
  }

  get value(): number {
    return this.start * Math.exp(this.log);
  }

  step(slope: number, corrected: number): void {
    this.first = BETA1 * this.first + (1 - BETA1) * slope;
    this.second = BETA2 * this.second + (1 - BETA2) * slope * slope;
    if (this.second > 0) this.log -= (this.rate * corrected * this.first) / Math.sqrt(this.second);
  }
}
