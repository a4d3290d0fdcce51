import { columnsOf, subtract, transpose } from './matrices';
import { eigenbasis, type Compute, type Eigenbasis } from './eigenbasis';
import { singularValuesOf } from './rank';

/** W′ ≈ left·right, as two layers: right is r × n and comes first, left is m × r. Row-major float64. */
export interface Factors {
  readonly left: Float64Array;
  readonly right: Float64Array;
}

/** Energies of the outputs Y = X·Wᵀ of one group, all of ‖·‖²_F. */
export interface GroupEnergies {
  readonly output: number;
  /** ‖Y − Y′‖². */
  readonly lost: number;
  /** What the two projections may lose at most: see `errorBound`. */
  readonly lostAtMost: number;
}

/**
 * The weight of one group in the eigenbases of its inputs and outputs, of which every question is a part:
 * M = Vᵀ_T·W·V_S, element (i, j) = tᵢᵀ·W·sⱼ. With G = V_S·Λ·V_Sᵀ:
 *
 *   P_T·W·P_S = V_T[:, :k_T]·M[:k_T, :k_S]·V_S[:, :k_S]ᵀ    and    tr(E·G·Eᵀ) = Σ λⱼ·(V_Tᵀ·E·V_S)ᵢⱼ² for any E (m × n).
 */
export class GroupProjections {
  private constructor(
    private readonly weight: Float64Array,
    private readonly m: number,
    private readonly n: number,
    readonly inputs: Eigenbasis,
    readonly outputs: Eigenbasis,
    /** W·V_S, m × n. */
    private readonly onInputs: Float64Array,
    /** M, m × n. */
    private readonly core: Float64Array,
    private readonly compute: Compute,
  ) {}

  /**
   * @param weight m × n
   * @param inputs eigenvectors of G = Σ x·xᵀ
   */
  static async of(
    weight: Float64Array,
    m: number,
    n: number,
    inputs: Eigenbasis,
    compute: Compute,
  ): Promise<GroupProjections> {
    const { backend, signal } = compute;
    const V = transpose(inputs.vectors, n, n);
    const onInputs = await backend.product({ A: weight, B: V, rows: m, inner: n, columns: n }, signal);
    // W·G·Wᵀ = (W·V·√Λ)·(W·V·√Λ)ᵀ: no second pass over the data (§5.2), and never an eigenvalue far below zero.
    const scaled = scaleColumns(onInputs, inputs.energies);
    const gram = await backend.product(
      { A: scaled, B: transpose(scaled, m, n), rows: m, inner: n, columns: m },
      signal,
    );
    const outputs = await eigenbasis(gram, m, compute);
    const core = await backend.product(
      { A: outputs.vectors, B: onInputs, rows: m, inner: m, columns: n },
      signal,
    );
    return new GroupProjections(weight, m, n, inputs, outputs, onInputs, core, compute);
  }

  /** W·P_S, m × n, with S of dimension k. */
  async onInputSubspace(k: number): Promise<Float64Array> {
    const { weight, m, n } = this;
    if (k >= n) return weight.slice();
    const { vectors } = this.inputs;
    // Whichever is less work: what stays, or what goes.
    if (2 * k <= n)
      return this.multiply(columnsOf(this.onInputs, n, 0, k), vectors.subarray(0, k * n), m, k, n);
    const gone = columnsOf(this.onInputs, n, k, n);
    return subtract(weight.slice(), await this.multiply(gone, vectors.subarray(k * n), m, n - k, n));
  }

  /** P_T·X, m × n, with T of dimension k; X = W·P_S has been made by `onInputSubspace`. */
  async onOutputSubspace(k: number, X: Float64Array): Promise<Float64Array> {
    const { m, n } = this;
    if (k >= m) return X.slice();
    const { vectors } = this.outputs;
    const keep = 2 * k <= m;
    const T = keep ? vectors.subarray(0, k * m) : vectors.subarray(k * m);
    const dimension = keep ? k : m - k;
    const coordinates = await this.multiply(T, X, dimension, m, n);
    const part = await this.multiply(transpose(T, dimension, m), coordinates, m, dimension, n);
    return keep ? part : subtract(X.slice(), part);
  }

  /** Singular values of W, descending. */
  singularValues(): Promise<Float64Array> {
    return singularValuesOf(this.weight, this.m, this.n, this.compute);
  }

  /** Singular values of W′ = P_T·W·P_S other than exact zeros, descending: those of its k_T × k_S core. */
  utilizedSingularValues(kS: number, kT: number): Promise<Float64Array> {
    return singularValuesOf(this.coreOf(kS, kT), kT, kS, this.compute);
  }

  /** @param spectralNorm σ₁ of W */
  energies(kS: number, kT: number, spectralNorm: number): GroupEnergies {
    const { m, n, core } = this;
    const lambda = this.inputs.energies;
    let output = 0;
    let lost = 0;
    let beyondOutputs = 0;
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        const energy = (lambda[j] ?? 0) * (core[i * n + j] ?? 0) ** 2;
        output += energy;
        if (i >= kT) beyondOutputs += energy;
        if (i >= kT || j >= kS) lost += energy;
      }
    let beyondInputs = 0;
    for (let j = kS; j < n; j++) beyondInputs += lambda[j] ?? 0;
    return { output, lost, lostAtMost: beyondOutputs + spectralNorm ** 2 * beyondInputs };
  }

  /**
   * W′ split into two at rank r: (U·√Σ)·(√Σ·Vᵀ) of its singular value decomposition, cut off after r.
   *
   * @returns factors of zeros where W′ has no r singular values
   */
  async factors(kS: number, kT: number, r: number): Promise<Factors> {
    const { m, n } = this;
    const core = this.coreOf(kS, kT);
    // Left singular vectors of the core from its outer Gram matrix: squared singular values down to 1e-16 of the
    // largest are told apart, and what the rank counts at 0.9999 of the energy lies far above.
    const gram = await this.multiply(core, transpose(core, kT, kS), kT, kS, kT);
    const { energies, vectors } = await eigenbasis(gram, kT, this.compute);
    const kept = Math.min(r, kT);
    const U = vectors.subarray(0, kept * kT);
    const scaledV = await this.multiply(U, core, kept, kT, kS);
    const left = new Float64Array(m * r);
    const right = new Float64Array(r * n);
    const T = this.outputs.vectors.subarray(0, kT * m);
    const S = this.inputs.vectors.subarray(0, kS * n);
    const onOutputs = await this.multiply(U, T, kept, kT, m);
    right.set(await this.multiply(scaledV, S, kept, kS, n));
    for (let i = 0; i < kept; i++) {
      const root = Math.sqrt(Math.sqrt(energies[i] ?? 0));
      for (let row = 0; row < m; row++) left[row * r + i] = root * (onOutputs[i * m + row] ?? 0);
      for (let j = i * n; j < (i + 1) * n; j++) right[j] = root > 0 ? (right[j] ?? 0) / root : 0;
    }
    return { left, right };
  }

  private coreOf(kS: number, kT: number): Float64Array {
    return columnsOf(this.core.subarray(0, kT * this.n), this.n, 0, kS);
  }

  private multiply(
    A: Float64Array,
    B: Float64Array,
    rows: number,
    inner: number,
    columns: number,
  ): Promise<Float64Array> {
    return this.compute.backend.product({ A, B, rows, inner, columns }, this.compute.signal);
  }
}

/** Columns times the square roots of `squares`. */
function scaleColumns(A: Float64Array, squares: Float64Array): Float64Array {
  const n = squares.length;
  const roots = squares.map(Math.sqrt);
  return A.map((value, i) => value * (roots[i % n] ?? 0));
}
