/** What `make_networks.py` wrote. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './references';

interface GramFacts {
  readonly vectors: number;
  readonly trace: number;
  /** uᵀGu of u = (1, 2, …, n). */
  readonly weighted: number;
}

export interface NetworkReferences {
  readonly pictures: {
    readonly height: number;
    readonly width: number;
    readonly pictures: Readonly<
      Record<string, { readonly channels: 1 | 3; readonly values: readonly number[] }>
    >;
    readonly luma: readonly number[];
    readonly resized: Readonly<Record<string, readonly number[]>>;
  };
  readonly arrays: {
    readonly bytes: readonly number[];
    readonly floats: readonly number[];
    readonly halves: readonly number[];
    readonly labels: readonly number[];
  };
  readonly residual: {
    readonly grams: Readonly<Record<string, { readonly vectors: number; readonly gram: readonly number[] }>>;
    readonly weights: Readonly<Record<string, readonly number[]>>;
    readonly accuracy: number;
    readonly outputs: readonly number[];
  };
  /** The project's own network, media/sample/network. */
  readonly sample: { readonly images: number; readonly right: number };
  readonly shared: {
    readonly tfjs: {
      readonly images: number;
      readonly right: number;
      readonly grams: Readonly<Record<string, GramFacts>>;
    };
    readonly mlp: {
      readonly images: number;
      readonly right: number;
      readonly grams: Readonly<Record<string, GramFacts>>;
    };
    readonly mnist: { readonly labels: readonly number[]; readonly sum: number };
  };
}

export function networkReferences(): NetworkReferences {
  // The file is the project's own, made by make_networks.py in this shape.
  return JSON.parse(
    readFileSync(path.join(ROOT, 'test/reference/networks.json'), 'utf8'),
  ) as NetworkReferences;
}

export const DATA_FIXTURES = path.join(ROOT, 'test/fixtures/data');
export const NETWORK_FIXTURES = path.join(ROOT, 'test/fixtures/networks');
