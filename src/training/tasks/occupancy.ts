/** A binary occupancy field: points of a grid, inside or outside of a solid; IoU over the grid. */
import { createHash } from 'node:crypto';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import { CheckpointError } from '../../checkpoint/errors';
import type { Tf } from '../../network/builtin/architecture';
import { openMesh } from '../../network/data/mesh/mesh';
import { Pauses } from '../../network/data/pauses';
import { outputsOf } from './evaluation';
import { MAX_RESOLUTION, type OccupancyGrid } from './occupancyGrid';
import { EpochOrder, Permutation } from './permutation';
import { derivedStream } from './randomness';
import type { OccupancyData } from './recipe';
import { requireNetwork, type TaskOptions } from './settings';
import { gridOfSolid } from './solids';
import type { Batch, Run, Task, TaskEvaluation } from './task';
import { voxelize } from './voxelize';

const DEFAULT_RESOLUTION = 64;
/** Points through the network at once: activations of 256 floats take 16 MiB. */
const EVALUATION_POINTS = 16_384;
/** Of rays that meet the surface; more than that are told. */
const TOLERATED_ODD_RAYS = 0.001;

/** @throws CheckpointError with one line that names the file; the signal's reason */
export async function openOccupancy(data: OccupancyData, options: TaskOptions): Promise<Task> {
  const name = 'mesh' in data ? data.mesh : data.solid;
  const { resolution = DEFAULT_RESOLUTION } = data;
  if (!Number.isInteger(resolution) || resolution < 2 || resolution > MAX_RESOLUTION) {
    const reason = `a grid of ${resolution} points along each axis: 2 to ${MAX_RESOLUTION} are possible`;
    throw new CheckpointError('unsupported', reason, { file: name });
  }
  requireNetwork(options.network, { input: [3], output: [1] }, 'occupancy', name);
  const pauses = new Pauses(options.signal);
  const { grid, identity, notes } = await openGrid(data, resolution, pauses, options.signal);
  const inside = grid.count();
  if (inside === 0 || inside === grid.points) {
    const reason = `${inside === 0 ? 'no' : 'every'} point of the ${resolution}³ grid is inside: raise "resolution", or look at the mesh`;
    throw new CheckpointError('malformed', reason, { file: name });
  }
  const surface = (data.nearSurface ?? 0) > 0 ? await grid.surface(pauses) : new Uint32Array(0);
  return new Occupancy(data, grid, inside, surface, identity, notes);
}

async function openGrid(
  data: OccupancyData,
  resolution: number,
  pauses: Pauses,
  signal: AbortSignal,
): Promise<{ readonly grid: OccupancyGrid; readonly identity: string; readonly notes: readonly string[] }> {
  if (!('mesh' in data))
    return { grid: await gridOfSolid(data.solid, resolution, pauses), identity: data.solid, notes: [] };
  const mesh = await openMesh(data.mesh, signal);
  try {
    const { grid, oddRays } = await voxelize(mesh, resolution, pauses);
    const percent = (100 * oddRays).toFixed(1);
    const note = `the surface has holes: ${percent} % of the rays through it cross it an odd number of times`;
    return { grid, identity: mesh.identity, notes: oddRays > TOLERATED_ODD_RAYS ? [note] : [] };
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file: data.mesh }) : error;
  }
}

/** Where the points of a run come from: the whole grid, and the points beside the surface, each in an endless order. */
interface Orders {
  readonly seed: number;
  readonly grid: EpochOrder;
  readonly surface: EpochOrder;
}

class Occupancy implements Task {
  readonly metric = { name: 'iou', higherIsBetter: true } as const;
  readonly samples: number;
  readonly identity: string;
  readonly notes: readonly string[];
  private readonly share: number;
  private orders: Orders | undefined;

  constructor(
    private readonly data: OccupancyData,
    private readonly grid: OccupancyGrid,
    inside: number,
    private readonly surface: Uint32Array,
    identity: string,
    notes: readonly string[],
  ) {
    this.samples = data.samples ?? grid.points;
    this.share = surface.length === 0 ? 0 : (data.nearSurface ?? 0);
    const settings = [grid.resolution, this.samples, this.share, data.evaluateAtMost ?? null];
    this.identity = createHash('sha256')
      .update(JSON.stringify(['occupancy', identity, ...settings]))
      .digest('hex');
    const percent = ((100 * inside) / grid.points).toFixed(1);
    this.notes = [`${percent} % of the ${grid.resolution}³ points are inside`, ...notes];
  }

  async batch(step: number, size: number, seed: number, signal: AbortSignal): Promise<Batch> {
    const orders = this.ordersOf(seed);
    return this.pointsAt(size, (i) => this.pointAt(orders, step * size + i), signal);
  }

  /** −y·log σ(x) − (1−y)·log(1−σ(x)) = softplus(x) − x·y. */
  loss(tf: Tf, run: Run, [points, occupancy]: readonly Tensor[]): Scalar {
    if (points === undefined || occupancy === undefined) throw new Error('a batch without its occupancy');
    const logits = run(points);
    return tf.mean(tf.sub(tf.softplus(logits), tf.mul(logits, occupancy)));
  }

  async evaluate(
    tf: Tf,
    run: Run,
    signal: AbortSignal,
    onFraction?: (fraction: number) => void,
  ): Promise<TaskEvaluation> {
    const indexOf = this.evaluated();
    const count = Math.min(this.grid.points, this.data.evaluateAtMost ?? this.grid.points);
    let [both, either, loss] = [0, 0, 0];
    for (let from = 0; from < count; from += EVALUATION_POINTS) {
      const size = Math.min(EVALUATION_POINTS, count - from);
      const [points, occupancy] = await this.pointsAt(size, (i) => indexOf(from + i), signal);
      if (points === undefined || occupancy === undefined) break;
      const logits = await outputsOf(tf, run, points, signal);
      for (let i = 0; i < size; i++) {
        const logit = logits[i] ?? 0;
        const isInside = occupancy.values[i] === 1;
        // σ(x) > ½.
        const isSaid = logit > 0;
        if (isInside && isSaid) both++;
        if (isInside || isSaid) either++;
        loss += softplus(isInside ? -logit : logit);
      }
      onFraction?.((from + size) / count);
    }
    return { value: either === 0 ? 100 : (100 * both) / either, loss: loss / count, samples: count };
  }

  async inputs(most: number, signal: AbortSignal): Promise<Batch> {
    const order = new Permutation(this.grid.points, derivedStream(0, 'inputs'));
    const [points] = await this.pointsAt(Math.min(most, order.length), (i) => order.at(i), signal);
    return points === undefined ? [] : [points];
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }

  private ordersOf(seed: number): Orders {
    if (this.orders?.seed !== seed) {
      this.orders = {
        seed,
        grid: new EpochOrder(this.grid.points, seed),
        surface: new EpochOrder(Math.max(1, this.surface.length), seed),
      };
    }
    return this.orders;
  }

  /** A point's index in the grid; of `share`, every 1/share-th position takes the next point beside the surface. */
  private pointAt({ grid, surface }: Orders, position: number): number {
    const before = Math.floor(position * this.share);
    const isNear = Math.floor((position + 1) * this.share) > before;
    return isNear ? (this.surface[surface.sampleAt(before)] ?? 0) : grid.sampleAt(position - before);
  }

  /** All of the grid in its own order, or an even choice of it. */
  private evaluated(): (i: number) => number {
    const { evaluateAtMost = Infinity } = this.data;
    if (evaluateAtMost >= this.grid.points) return (i) => i;
    const order = new Permutation(this.grid.points, derivedStream(0, 'validation'));
    return (i) => order.at(i);
  }

  /** [points × 3, points × 1 of 0 and 1]. */
  private async pointsAt(size: number, indexOf: (i: number) => number, signal: AbortSignal): Promise<Batch> {
    signal.throwIfAborted();
    const points = new Float32Array(3 * size);
    const occupancy = new Float32Array(size);
    const pauses = new Pauses(signal);
    for (let i = 0; i < size; i++) {
      if (i % 1024 === 0 && pauses.isDue) await pauses.pause();
      const index = indexOf(i);
      this.grid.coordinate(index, points, 3 * i);
      occupancy[i] = this.grid.has(index) ? 1 : 0;
    }
    return [
      { values: points, shape: [size, 3] },
      { values: occupancy, shape: [size, 1] },
    ];
  }
}

/** log(1 + eˣ). */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}
