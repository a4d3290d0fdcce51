import type { RandomStream } from '../../lowrank/randomStream';
import { Pauses } from '../../network/data/pauses';
import { uniform } from './randomness';
import type { Rays } from './rays';
import type { ViewsData } from './recipe';
import type { Batch } from './task';

/** Rays between two looks at the clock. */
const STRIDE = 64;

type RaySettings = Required<Pick<ViewsData, 'near' | 'far' | 'samplesPerRay' | 'background'>>;

/** What is left to chance. */
interface Chance {
  /** Where in its piece a sample lies; absent: in the middle. */
  readonly depths?: RandomStream;
  /** Of the backgrounds; absent: the same for all rays. */
  readonly colours?: RandomStream | undefined;
}

/**
 * Samples on rays: [near, far] is cut into equal pieces, with one sample in each (Mildenhall et al., "NeRF", 2020, eq. 2);
 * a length δ goes from a sample to the next, and from the last to `far`.
 *
 * @returns points, rays × samples × 6: place and unit direction; lengths, rays × samples; colours of the pixels over
 * their backgrounds, rays × 3; and the backgrounds, rays × 3
 * @throws the signal's reason
 */
export async function samplesOnRays(
  rays: Rays,
  settings: RaySettings,
  { depths, colours }: Chance,
  signal: AbortSignal,
): Promise<Batch> {
  const { count } = rays;
  const { samplesPerRay } = settings;
  const points = new Float32Array(count * samplesPerRay * 6);
  const lengths = new Float32Array(count * samplesPerRay);
  const pauses = new Pauses(signal);
  for (let ray = 0; ray < count; ray++) {
    if (ray % STRIDE === 0 && pauses.isDue) await pauses.pause();
    samplesOnRay(rays, ray, settings, depths, points, lengths);
  }
  return [
    { values: points, shape: [count, samplesPerRay, 6] },
    { values: lengths, shape: [count, samplesPerRay] },
    ...coloursOver(rays, settings.background, colours),
  ];
}

function samplesOnRay(
  { origins, directions }: Rays,
  ray: number,
  { near, far, samplesPerRay }: RaySettings,
  depths: RandomStream | undefined,
  points: Float32Array,
  lengths: Float32Array,
): void {
  const piece = (far - near) / samplesPerRay;
  let before = 0;
  for (let i = 0; i < samplesPerRay; i++) {
    const at = ray * samplesPerRay + i;
    const depth = near + (i + (depths === undefined ? 0.5 : uniform(depths))) * piece;
    for (let axis = 0; axis < 3; axis++) {
      const direction = directions[3 * ray + axis] ?? 0;
      points[6 * at + axis] = (origins[3 * ray + axis] ?? 0) + depth * direction;
      points[6 * at + 3 + axis] = direction;
    }
    if (i > 0) lengths[at - 1] = depth - before;
    before = depth;
  }
  lengths[(ray + 1) * samplesPerRay - 1] = far - before;
}

function coloursOver(
  { count, pixels }: Rays,
  background: RaySettings['background'],
  colours: RandomStream | undefined,
): Batch {
  const seen = new Float32Array(3 * count);
  const behind = new Float32Array(3 * count);
  const plain = background === 'black' ? 0 : 1;
  for (let i = 0; i < 3 * count; i++) {
    const ray = Math.floor(i / 3);
    const colour = colours === undefined ? plain : uniform(colours);
    behind[i] = colour;
    seen[i] = (pixels[4 * ray + (i % 3)] ?? 0) + (1 - (pixels[4 * ray + 3] ?? 1)) * colour;
  }
  return [
    { values: seen, shape: [count, 3] },
    { values: behind, shape: [count, 3] },
  ];
}
