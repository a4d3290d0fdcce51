/** What `make_sine.py` wrote. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Recipe } from './generated';
import { ROOT } from './references';

export interface SineReferences {
  readonly made: string;
  readonly truncatedSvd: readonly {
    readonly recipe: Recipe;
    /** X, samples × n: the norm is that of these inputs. */
    readonly inputs?: Recipe;
    /** By rank. */
    readonly errors: Readonly<Record<string, number>>;
  }[];
  readonly gradients: readonly {
    readonly W: Recipe;
    readonly U: Recipe;
    readonly V: Recipe;
    readonly inputs?: Recipe;
    readonly amplitude: number;
    readonly objective: number;
    /** By the logarithm of the amplitude. */
    readonly slope: number;
    readonly gradU: readonly number[];
    readonly gradV: readonly number[];
  }[];
  readonly fits: readonly { readonly recipe: Recipe; readonly rank: number; readonly svdError: number }[];
}

export function sineReferences(): SineReferences {
  const text = readFileSync(path.join(ROOT, 'test/reference/sine.json'), 'utf8');
  // The file is the project's own, made by make_sine.py in this shape.
  return JSON.parse(text) as SineReferences;
}
