import { CheckpointError } from '../../../checkpoint/errors';
import type { Mesh } from './mesh';

/** Lucy has 14 million vertices and 28 million triangles. */
const MAX_VERTICES = 2 ** 24;
const MAX_TRIANGLES = 2 ** 25;

/** Vertices and faces as a file brings them, checked. */
export class MeshBuilder {
  private positions = new Float64Array(3 * 1024);
  private triangles = new Uint32Array(3 * 1024);
  private triangleCount = 0;
  private largest = -1;
  private placeOfLargest = '';
  vertexCount = 0;

  /** @param place for messages: `line 7` */
  vertex(x: number, y: number, z: number, place: () => string): void {
    if (!Number.isFinite(x) || !Number.isFinite(y) || !Number.isFinite(z))
      throw new CheckpointError('malformed', `${place()}: a vertex at (${x}, ${y}, ${z})`);
    if (this.vertexCount === MAX_VERTICES)
      throw new CheckpointError('unsupported', `more than ${MAX_VERTICES} vertices`);
    const at = 3 * this.vertexCount++;
    if (at === this.positions.length) {
      const grown = new Float64Array(2 * at);
      grown.set(this.positions);
      this.positions = grown;
    }
    this.positions[at] = x;
    this.positions[at + 1] = y;
    this.positions[at + 2] = z;
  }

  /** A polygon as a fan of triangles. @param corners indices from 0; vertices may come later */
  face(corners: readonly number[], place: () => string): void {
    const [first = 0] = corners;
    if (corners.length < 3)
      throw new CheckpointError('malformed', `${place()}: a face of ${corners.length} corners`);
    for (const corner of corners) {
      if (!Number.isInteger(corner) || corner < 0)
        throw new CheckpointError('malformed', `${place()}: a face of a vertex that is not there`);
      if (corner <= this.largest) continue;
      this.largest = corner;
      this.placeOfLargest = place();
    }
    for (let i = 2; i < corners.length; i++) this.triangle(first, corners[i - 1] ?? 0, corners[i] ?? 0);
  }

  done(): Mesh {
    if (this.largest >= this.vertexCount) {
      const reason = `${this.placeOfLargest}: a face of vertex ${this.largest + 1}, but there are ${this.vertexCount}`;
      throw new CheckpointError('malformed', reason);
    }
    return {
      positions: this.positions.slice(0, 3 * this.vertexCount),
      triangles: this.triangles.slice(0, 3 * this.triangleCount),
    };
  }

  private triangle(a: number, b: number, c: number): void {
    if (this.triangleCount === MAX_TRIANGLES)
      throw new CheckpointError('unsupported', `more than ${MAX_TRIANGLES} triangles`);
    const at = 3 * this.triangleCount++;
    if (at === this.triangles.length) {
      const grown = new Uint32Array(2 * at);
      grown.set(this.triangles);
      this.triangles = grown;
    }
    this.triangles[at] = a;
    this.triangles[at + 1] = b;
    this.triangles[at + 2] = c;
  }
}
