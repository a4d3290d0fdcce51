/** What `make_training_tasks.py` wrote. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './references';

interface LossReference {
  readonly loss: number;
  readonly gradient: readonly number[];
}

export interface MeshReference {
  readonly resolution: number;
  /** Of the points, so many lie anywhere; as many more lie beside the surface. */
  readonly anywhere: number;
  /** Base64 of little-endian uint32: (z·resolution + y)·resolution + x. */
  readonly points: string;
  /** Base64 of bits, the lowest first. */
  readonly inside: string;
}

export interface TrainingReferences {
  readonly crossEntropy: {
    readonly logits: readonly number[];
    readonly targets: readonly number[];
    readonly classes: number;
    readonly cases: readonly ({ readonly smoothing: number } & LossReference)[];
  };
  readonly masked: {
    readonly logits: readonly number[];
    readonly shape: readonly number[];
    readonly targets: readonly number[];
    readonly weights: readonly number[];
  } & LossReference;
  readonly occupancy: {
    readonly logits: readonly number[];
    readonly inside: readonly number[];
  } & LossReference;
  readonly rendering: {
    readonly rays: number;
    readonly samples: number;
    readonly raw: readonly number[];
    readonly lengths: readonly number[];
    readonly background: readonly number[];
    readonly target: readonly number[];
    readonly cases: readonly ({
      readonly density: 'softplus' | 'relu';
      readonly colours: readonly number[];
    } & LossReference)[];
  };
  readonly rays: {
    readonly height: number;
    readonly width: number;
    readonly focal: number;
    readonly pixels: readonly number[];
    readonly pose: readonly number[];
    readonly directions: readonly number[];
  };
  /** 0 … 255 of each pixel, by the name of a picture of test/fixtures/data. */
  readonly opacity: Readonly<Record<'rgba' | 'grey_alpha', readonly number[]>>;
  readonly meshes: Readonly<Record<string, MeshReference>>;
}

export function trainingReferences(): TrainingReferences {
  const text = readFileSync(path.join(ROOT, 'test/reference/training_tasks.json'), 'utf8');
  // The file is the project's own, made by make_training_tasks.py in this shape.
  return JSON.parse(text) as TrainingReferences;
}
