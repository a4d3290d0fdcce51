/** Ten shapes drawn at a random place, size, turn, stroke and contrast, with noise: the data the sample learns from. */
import { Random } from './random.mjs';

/** Pixels along each side of an image. */
export const SIZE = 16;

// Each shape is a function of a point (the shape fills about [-1, 1]²) and half the stroke's width; it gives the
// distance to the ink, negative inside.
const box = (x, y, halfWidth, halfHeight) => Math.max(Math.abs(x) - halfWidth, Math.abs(y) - halfHeight);
const segment = (x, y, x0, y0, x1, y1) => {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const t = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)));
  return Math.sqrt((x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2);
};
const polyline = (x, y, points) => {
  let nearest = Infinity;
  for (let i = 0; i + 1 < points.length; i++) {
    nearest = Math.min(nearest, segment(x, y, ...points[i], ...points[i + 1]));
  }
  return nearest;
};
const radius = (x, y) => Math.sqrt(x * x + y * y);

const TRIANGLE = [
  [0, -0.95],
  [0.9, 0.75],
  [-0.9, 0.75],
  [0, -0.95],
];

export const SHAPES = [
  { name: 'ring', distance: (x, y, pen) => Math.abs(radius(x, y) - 0.8) - pen },
  { name: 'disc', distance: (x, y) => radius(x, y) - 0.85 },
  { name: 'square', distance: (x, y, pen) => Math.abs(box(x, y, 0.75, 0.75)) - pen },
  { name: 'block', distance: (x, y) => box(x, y, 0.75, 0.75) },
  { name: 'triangle', distance: (x, y, pen) => polyline(x, y, TRIANGLE) - pen },
  {
    name: 'plus',
    distance: (x, y, pen) => Math.min(segment(x, y, -0.9, 0, 0.9, 0), segment(x, y, 0, -0.9, 0, 0.9)) - pen,
  },
  {
    name: 'cross',
    distance: (x, y, pen) =>
      Math.min(segment(x, y, -0.7, -0.7, 0.7, 0.7), segment(x, y, -0.7, 0.7, 0.7, -0.7)) - pen,
  },
  { name: 'bars', distance: (x, y) => Math.max(Math.abs(Math.abs(y) - 0.55) - 0.22, Math.abs(x) - 0.85) },
  {
    name: 'arrow',
    distance: (x, y, pen) =>
      Math.min(
        segment(x, y, -0.9, 0, 0.8, 0),
        segment(x, y, 0.8, 0, 0.2, -0.6),
        segment(x, y, 0.8, 0, 0.2, 0.6),
      ) - pen,
  },
  { name: 'crescent', distance: (x, y) => Math.max(radius(x, y) - 0.9, 0.7 - radius(x - 0.5, y)) },
];

/** Draws one shape into `image` (SIZE × SIZE, row-major, about zero mean). */
function draw(shape, random, image) {
  const scale = random.uniform(4.2, 6.2);
  const [centreX, centreY] = [random.uniform(6.3, 8.7), random.uniform(6.3, 8.7)];
  // Turns of up to about 20°, through the half-angle's tangent: no trigonometric function.
  const t = random.uniform(-0.18, 0.18);
  const [cos, sin] = [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)];
  const pen = random.uniform(0.13, 0.22);
  const ink = random.uniform(0.7, 1.3);
  for (let row = 0; row < SIZE; row++) {
    for (let column = 0; column < SIZE; column++) {
      const [dx, dy] = [(column + 0.5 - centreX) / scale, (row + 0.5 - centreY) / scale];
      const distance = shape.distance(cos * dx + sin * dy, cos * dy - sin * dx, pen);
      const coverage = Math.min(1, Math.max(0, 0.5 - distance * scale));
      image[row * SIZE + column] = ink * coverage - 0.25 + 0.18 * random.normal();
    }
  }
}

/** A batch of `count` images (count × SIZE·SIZE) and their classes, each class as often as the others. */
export function glyphs(count, seed) {
  const random = new Random(seed);
  const images = new Float32Array(count * SIZE * SIZE);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    labels[i] = i % SHAPES.length;
    draw(SHAPES[labels[i]], random, images.subarray(i * SIZE * SIZE, (i + 1) * SIZE * SIZE));
  }
  return { images, labels };
}
