import { setImmediate } from 'node:timers/promises';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
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
} from '../sineSchedule';
import type { DeviceDescent, DeviceDescentEnd } from './device';
import { sineGradient, type SineProblem, type TensorOps } from './tfObjective';

/**
 * Elements of a block of whole rows of W, unless one row has more: about eight arrays of this size are held at a time,
 * half a gigabyte, and none is beyond what graphics cards bind to a kernel.
 */
const BLOCK_ELEMENTS = 2 ** 24;

/** Milliseconds of work that may be queued: this long a cancelled descent goes on. */
const QUEUED_MS = 100;

/** Most steps queued, however short they are: each keeps its small arrays until it has run. */
const MOST_QUEUED = 25;

/** Guards the division where a gradient has always been zero. */
const EPSILON = 1e-8;

/** Noise beyond the longest array of parameters: every step begins at another place among so many. */
const SPARE_NOISE = 2 ** 18;

/**
 * Minimises ‖W − a·sin(U·Vᵀ)‖² over U, V and log a as `SineDescent` does, in float32 on TensorFlow.js. Everything stays
 * on the device, which is waited for about ten times a second. A seed gives the same descent every time on a backend
 * whose products always sum in one order.
 *
 * @param signal ends it with the signal's reason, once what is queued has run.
 * @param blockElements most elements of an array as large as a block of rows of W.
 * @throws {Error} of the backend when the device is lost or out of memory; nothing is held on it then.
 */
export async function tfDescent(
  tf: TensorOps,
  descent: DeviceDescent,
  signal: AbortSignal,
  onFraction: (fraction: number) => void,
  blockElements = BLOCK_ELEMENTS,
): Promise<DeviceDescentEnd> {
  signal.throwIfAborted();
  const { steps } = descent;
  const run = new TensorDescent(tf, descent, blockElements);
  try {
    const pace = new Pace();
    let [best, step] = [Infinity, 0];
    while (step < steps) {
      run.propose(step);
      if (isLook(step, steps)) {
        const objective = await run.objective();
        if (isSettled(objective, best)) break;
        best = objective;
      }
      run.accept();
      step++;
      if (!pace.isDue()) continue;
      await run.settled();
      // Whoever wants to cancel is heard.
      await setImmediate();
      signal.throwIfAborted();
      onFraction(step / steps);
      pace.begin();
    }
    return { ...(await run.point()), steps: step };
  } finally {
    run.dispose();
  }
}

/** When to wait for the device: after as many steps as it makes in the time that may be queued. */
class Pace {
  private steps = 1;
  private taken = 0;
  private since = performance.now();

  isDue(): boolean {
    return ++this.taken >= this.steps;
  }

  begin(): void {
    const now = performance.now();
    const fitting = Math.floor((this.steps * QUEUED_MS) / Math.max(1e-3, now - this.since));
    // Kernels are compiled during the first steps: what those take says little.
    this.steps = Math.max(1, Math.min(fitting, 2 * this.steps, MOST_QUEUED));
    this.taken = 0;
    this.since = now;
  }
}

/** An array that is descended, and its two moments. */
interface Parameters<T extends Tensor = Tensor2D> {
  readonly x: T;
  readonly first: T;
  readonly second: T;
}

/** Everything that a step changes: U in blocks of rows. */
interface State {
  readonly U: readonly Parameters[];
  readonly V: Parameters;
  /** The amplitude is start · exp(this), so that it stays positive. */
  readonly logAmplitude: Parameters<Scalar>;
}

interface Proposal {
  readonly state: State;
  readonly objective: Scalar | undefined;
}

/** One descent and all that it holds on the device. */
class TensorDescent {
  private readonly constants: SineProblem & { readonly noise: Tensor1D | undefined };
  private readonly random: () => number;
  private readonly unit: number;
  private state: State;
  private proposal: Proposal | undefined;

  constructor(
    private readonly tf: TensorOps,
    private readonly descent: DeviceDescent,
    blockElements: number,
  ) {
    this.unit = factorUnit(descent.rank);
    this.random = xorshift(descent.seed);
    const height = Math.max(1, Math.floor(blockElements / descent.W.columns));
    [this.constants, this.state] = held(tf, () => {
      const { W, rank, inputGram, noise } = descent;
      const longest = rank * Math.max(W.columns, Math.min(height, W.rows));
      const constants = {
        W: blocks(tf, float32(W.values), W.columns, height),
        G: inputGram === undefined ? undefined : gramTensor(tf, inputGram, W.columns),
        noise: noise > 0 ? tf.tensor1d(noiseOf(longest + SPARE_NOISE, this.random)) : undefined,
      };
      const state: State = {
        U: blocks(tf, descent.U, rank, height).map((x) => unmoved(tf, x)),
        V: unmoved(tf, tf.tensor2d(descent.V, [W.columns, rank])),
        logAmplitude: unmoved(tf, tf.scalar(0)),
      };
      return [constants, state];
    });
  }

  /** Queues a step, which is not taken until it is accepted. */
  propose(step: number): void {
    const { tf, descent, constants, state, unit } = this;
    const { steps, amplitudeRate } = descent;
    const corrected = correctedRate(step, steps);
    const rate = descent.rate * unit * corrected;
    const sigma = Math.max(0, heatAt(step, steps)) * descent.noise * unit;
    this.proposal = held(tf, () => {
      const U = state.U.map(({ x }) => this.shaken(x, sigma));
      const V = this.shaken(state.V.x, sigma);
      const amplitude = this.amplitudeOf(state);
      const gradient = sineGradient(tf, constants, { U, V, amplitude }, isLook(step, steps));
      const ofU = state.U.map((before, i) => adam(tf, U[i], before, gradient.U[i], rate));
      const ofV = adam(tf, V, state.V, gradient.V, rate);
      const { logAmplitude: log } = state;
      const logAmplitude = adam(tf, log.x, log, gradient.slope, amplitudeRate * corrected);
      return { state: { U: ofU, V: ofV, logAmplitude }, objective: gradient.objective };
    });
  }

  /** Of the point where the proposed step begins. */
  async objective(): Promise<number> {
    const [objective = NaN] = (await this.proposal?.objective?.data()) ?? [];
    return objective;
  }

  accept(): void {
    const { proposal } = this;
    if (proposal === undefined) return;
    this.tf.dispose([...tensorsIn(this.state), ...tensorsIn(proposal.objective)]);
    this.state = proposal.state;
    this.proposal = undefined;
  }

  /** Resolves once the device has run all that is queued. */
  async settled(): Promise<void> {
    const corner = this.tf.slice(this.state.V.x, [0, 0], [1, 1]);
    try {
      await corner.data();
    } finally {
      corner.dispose();
    }
  }

  /** Where the accepted steps have led. */
  async point(): Promise<Omit<DeviceDescentEnd, 'steps'>> {
    const { amplitude, amplitudeRate } = this.descent;
    const { U, V, logAmplitude } = this.state;
    const [log = 0] = await logAmplitude.x.data();
    return {
      U: await valuesOf(U.map(({ x }) => x)),
      V: await valuesOf([V.x]),
      amplitude: amplitudeRate === 0 ? amplitude : amplitude * Math.exp(log),
    };
  }

  dispose(): void {
    this.tf.dispose(tensorsIn([this.constants, this.state, this.proposal]));
  }

  private amplitudeOf({ logAmplitude }: State): Scalar {
    return this.tf.mul(this.tf.exp(logAmplitude.x), this.descent.amplitude);
  }

  /** Adds noise from another place for every step and array: drawing it afresh would take longer than the step. */
  private shaken(x: Tensor2D, sigma: number): Tensor2D {
    const { tf, random } = this;
    const { noise } = this.constants;
    if (!(sigma > 0) || noise === undefined) return x;
    const part = tf.slice(noise, random() % SPARE_NOISE, x.size);
    return tf.add(x, tf.mul(tf.reshape(part, x.shape), sigma));
  }
}

/** The tensors that an object holds, however deep. */
function tensorsIn(value: unknown): Tensor[] {
  if (typeof value !== 'object' || value === null) return [];
  // What has a dataId is a tensor: nothing else is kept in these objects.
  if ('dataId' in value) return [value as Tensor];
  return Object.values(value).flatMap(tensorsIn);
}

/** Runs `make`, and keeps of all its tensors those in the result. None is left when it throws. */
function held<T>(tf: TensorOps, make: () => T): T {
  const results: T[] = [];
  tf.tidy(() => {
    const result = make();
    tensorsIn(result).forEach((tensor) => tf.keep(tensor));
    results.push(result);
  });
  const [result] = results;
  // `tidy` has run its function.
  return result as T;
}

function blocks(tf: TensorOps, values: Float32Array, columns: number, height: number): Tensor2D[] {
  const rows = values.length / columns;
  return Array.from({ length: Math.ceil(rows / height) }, (_, i) => {
    const first = i * height;
    const count = Math.min(height, rows - first);
    return tf.tensor2d(values.subarray(first * columns, (first + count) * columns), [count, columns]);
  });
}

function unmoved<T extends Tensor>(tf: TensorOps, x: T): Parameters<T> {
  return { x, first: tf.zerosLike(x), second: tf.zerosLike(x) };
}

/** One step of Adam from x; `rate` holds the corrections of both moments' start at zero. */
function adam<T extends Tensor>(
  tf: TensorOps,
  x: T | undefined,
  before: Parameters<T>,
  gradient: T | undefined,
  rate: number,
): Parameters<T> {
  if (x === undefined || gradient === undefined) throw new Error('the gradient lacks a block of rows');
  const first: T = tf.add(tf.mul(before.first, BETA1), tf.mul(gradient, 1 - BETA1));
  const second: T = tf.add(tf.mul(before.second, BETA2), tf.mul(tf.square(gradient), 1 - BETA2));
  const direction = tf.div(first, tf.add(tf.sqrt(second), EPSILON));
  return { x: tf.sub(x, tf.mul(direction, rate)), first, second };
}

async function valuesOf(parts: readonly Tensor[]): Promise<Float32Array> {
  const values = new Float32Array(parts.reduce((sum, { size }) => sum + size, 0));
  let filled = 0;
  for (const part of parts) {
    values.set(await part.data(), filled);
    filled += part.size;
  }
  return values;
}

function float32(values: Float32Array | Float64Array): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

function gramTensor(tf: TensorOps, G: Float64Array, n: number): Tensor2D {
  const factor = gramScale(G, n);
  return tf.tensor2d(
    Float32Array.from(G, (x) => x * factor),
    [n, n],
  );
}

/** Uniform noise of standard deviation 1. */
function noiseOf(length: number, random: () => number): Float32Array {
  const noise = new Float32Array(length);
  for (let i = 0; i < length; i++) noise[i] = Math.sqrt(3) * (random() / 2 ** 31 - 1);
  return noise;
}

/** Marsaglia's generator of 2003: whole numbers from 1 to 2³² − 1. */
function xorshift(seed: number): () => number {
  let state = generatorState(seed);
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
