import type { Pauses } from '../../network/data/pauses';
import { OccupancyGrid } from './occupancyGrid';
import { derivedStream, uniform } from './randomness';
import type { SolidName } from './recipe';

/** Whether a point of [−1, 1]³ is inside. */
export type Inside = (x: number, y: number, z: number) => boolean;

/** @throws the signal's reason */
export async function gridOfSolid(
  name: SolidName,
  resolution: number,
  pauses: Pauses,
): Promise<OccupancyGrid> {
  const grid = new OccupancyGrid(resolution);
  const inside = SOLIDS[name]();
  for (let row = 0; row < resolution ** 2; row++) {
    if (pauses.isDue) await pauses.pause();
    const y = grid.centre(row % resolution);
    const z = grid.centre(Math.floor(row / resolution));
    for (let x = 0; x < resolution; x++) if (inside(grid.centre(x), y, z)) grid.flip(x, row);
  }
  return grid;
}

const SOLIDS: Readonly<Record<SolidName, () => Inside>> = { gyroid, torus, spheres };

/** Radius of the ball that is cut out. */
const BALL = 0.9;
/** Periods of the gyroid from −1 to 1. */
const PERIODS = 3;

function gyroid(): Inside {
  const w = PERIODS * Math.PI;
  return (x, y, z) => {
    if (x * x + y * y + z * z > BALL * BALL) return false;
    const g =
      Math.sin(w * x) * Math.cos(w * y) +
      Math.sin(w * y) * Math.cos(w * z) +
      Math.sin(w * z) * Math.cos(w * x);
    return g > 0;
  };
}

/** Of the ring's middle, and of its tube. */
const RING = 0.6;
const TUBE = 0.25;

function torus(): Inside {
  return (x, y, z) => (Math.hypot(x, y) - RING) ** 2 + z * z < TUBE * TUBE;
}

const BALLS = 60;
const SMALLEST = 0.05;
const LARGEST = 0.3;

function spheres(): Inside {
  const stream = derivedStream(1, 'solid');
  const balls = Array.from({ length: BALLS }, () => {
    // Small ones are more frequent; none leaves the cube.
    const radius = SMALLEST + (LARGEST - SMALLEST) * uniform(stream) ** 3;
    const middle = (): number => (2 * uniform(stream) - 1) * (0.95 - radius);
    return { x: middle(), y: middle(), z: middle(), radius };
  });
  return (x, y, z) =>
    balls.some((ball) => (x - ball.x) ** 2 + (y - ball.y) ** 2 + (z - ball.z) ** 2 < ball.radius ** 2);
}
