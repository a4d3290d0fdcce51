/** safetensors and NumPy. */
import { float32, safetensors } from '../../fixtures/handmade';
import { mutateJson, mutateSafetensorsHeader } from '../mutators/json';
import { mutateNpyHeader } from '../mutators/other';
import { PICKLE } from '../mutators/pickle';
import { ZIP, insideZip } from '../mutators/zip';
import { type Seed, oneFile } from '../reader';
import type { ReaderEntry } from './all';
import { fixtures, sharedFiles } from './seeds';

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** A header of float32 tensors one after another. */
function entries(shapes: Readonly<Record<string, readonly number[]>>): Record<string, Entry> {
  let begin = 0;
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]): [string, Entry] => {
      const end = begin + 4 * shape.reduce((product, size) => product * size, 1);
      const entry: Entry = { dtype: 'F32', shape, data_offsets: [begin, end] };
      begin = end;
      return [name, entry];
    }),
  );
}

/** A safetensors file of float32 tensors of these shapes. */
export function float32File(
  shapes: Readonly<Record<string, readonly number[]>>,
  metadata?: Readonly<Record<string, string>>,
): Buffer {
  const header = { ...(metadata !== undefined && { __metadata__: metadata }), ...entries(shapes) };
  const count = Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return safetensors(
    JSON.stringify(header),
    float32(...Array.from({ length: count }, (_, i) => Math.sin(i))),
  );
}

const NETWORK = {
  'features.0.weight': [4, 3, 3, 3],
  'features.0.bias': [4],
  'attention.in_proj_weight': [12, 4],
  'rnn.weight_ih_l0': [16, 4],
  'embedding.weight': [10, 4],
  'experts.gate_up_proj': [2, 4, 6],
  'norm.running_mean': [4],
  'fc.weight': [3, 4],
} as const;

function factorFile(): Buffer {
  const layer = {
    tensor: 'a.weight',
    shape: [6, 5],
    dtype: 'float32',
    factorization: 'sine',
    omega: 30,
    gains: [2],
  };
  const conv = {
    tensor: 'c.weight',
    shape: [6, 3, 3, 3],
    dtype: 'float32',
    factorization: 'svd',
    gains: [1, 1],
    transposed: false,
  };
  const document = {
    schema: 'rankscope/factors@1',
    source: { name: 'm', format: 'f' },
    layers: { 'a.weight': layer, 'c.weight': conv },
    ties: { 'b.weight': 'a.weight' },
  };
  return float32File(
    {
      'a.weight.U': [6, 2],
      'a.weight.V': [5, 2],
      'c.weight.U': [2, 3, 2],
      'c.weight.V': [2, 27, 2],
      'a.bias': [6],
    },
    { 'rankscope.factors': JSON.stringify(document) },
  );
}

function shardedSeed(): Seed {
  const [first, second] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
  const index = {
    metadata: { total_size: 8 },
    weight_map: { a: first, 'b.weight': second, 'b.bias': second },
  };
  return {
    files: [
      { path: 'model.safetensors.index.json', bytes: Buffer.from(JSON.stringify(index)) },
      { path: first, bytes: float32File({ a: [3, 2] }) },
      { path: second, bytes: float32File({ 'b.weight': [4, 2], 'b.bias': [4] }) },
    ],
    open: '',
  };
}

const insideNpz = insideZip((name) => (name.endsWith('.npy') ? [mutateNpyHeader] : []));

export const ARRAYS: readonly ReaderEntry[] = [
  {
    name: 'safetensors',
    seeds: () => [
      oneFile('network.safetensors', float32File(NETWORK, { format: 'pt' })),
      oneFile('small.safetensors', float32File({ a: [2, 2], b: [] })),
    ],
    sharedSeeds: () => sharedFiles(/\.safetensors$/),
    mutators: () => [mutateSafetensorsHeader],
  },
  {
    name: 'factors',
    seeds: () => [oneFile('factors.safetensors', factorFile())],
    mutators: () => [mutateSafetensorsHeader],
  },
  {
    name: 'sharded',
    seeds: () => [shardedSeed(), { ...shardedSeed(), open: 'model.safetensors.index.json' }],
    mutators: (name) => (name.endsWith('.json') ? [mutateJson] : [mutateSafetensorsHeader]),
  },
  {
    name: 'npy',
    seeds: () =>
      fixtures(/\.npy$/).map((seed) => (seed.open === 'fortran.npy' ? seed : { ...seed, isRefused: true })),
    mutators: () => [mutateNpyHeader, mutateNpyHeader, ...PICKLE.slice(0, 2)],
  },
  {
    name: 'npz',
    seeds: () => fixtures(/\.npz$/),
    mutators: () => [...ZIP, ...Array<typeof insideNpz>(ZIP.length).fill(insideNpz)],
  },
];
