/** What other frameworks write. */
import { GGUF } from '../mutators/gguf';
import { HDF5, repairHdf5 } from '../mutators/hdf5';
import { mutateJson, mutateSafetensorsHeader } from '../mutators/json';
import { mutateFlatbuffer } from '../mutators/other';
import { mutateProtobuf } from '../mutators/protobuf';
import { SSTABLE } from '../mutators/sstable';
import { ZIP, insideZip } from '../mutators/zip';
import type { Mutator, Seed } from '../reader';
import type { ReaderEntry } from './all';
import { float32File } from './arrays';
import { fixtureFiles, fixtureFolder, sharedFiles } from './seeds';

/** Of a file by its name. */
function byName(
  ...known: readonly (readonly [RegExp, readonly Mutator[]])[]
): (file: string) => readonly Mutator[] {
  return (file) => known.find(([pattern]) => pattern.test(file))?.[1] ?? [];
}

const HDF5_REPAIRED: readonly Mutator[] = HDF5.map((mutator): Mutator => (bytes, random, context) => {
  const mutated = mutator(bytes, random, context);
  return mutated === undefined ? undefined : repairHdf5(mutated, random, context);
});

const insideKeras = insideZip(byName([/\.h5$/, HDF5_REPAIRED], [/\.json$/, [mutateJson]]));

/** A model that the fixtures' folder `tensorflow` has, given as one of its files or as its folder. */
function tensorflow(folder: string, only: RegExp, ...open: readonly string[]): Seed[] {
  return open.flatMap((given) => fixtureFolder(`tensorflow/${folder}`, given, only));
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** A model whose JSON is mostly its manifest. */
function smallWebModel(): Seed {
  const weights = [
    { name: 'dense/kernel', shape: [3, 2], dtype: 'float32' },
    {
      ...{ name: 'dense/bias', shape: [2], dtype: 'float32' },
      quantization: { dtype: 'uint8', scale: 0.1, min: -1 },
    },
    { name: 'words', shape: [1], dtype: 'string' },
  ];
  const layer = { class_name: 'Dense', config: { name: 'dense', units: 2 } };
  const topology = { model_config: { class_name: 'Sequential', config: { layers: [layer] } } };
  const manifest = [{ paths: ['a.bin', 'b/c.bin'], weights }];
  return {
    files: [
      { path: 'model.json', bytes: json({ modelTopology: topology, weightsManifest: manifest }) },
      { path: 'a.bin', bytes: Buffer.alloc(21, 0x3e) },
      { path: 'b/c.bin', bytes: Buffer.from([1, 2, 3, 4, 5, 2, 0, 0, 0, 0x41, 0x42]) },
    ],
    open: 'model.json',
  };
}

function adapters(): Seed[] {
  const module = 'base_model.model.model.layers.0.self_attn.q_proj';
  const peft = float32File({
    [`${module}.lora_A.weight`]: [2, 8],
    [`${module}.lora_B.weight`]: [6, 2],
    'base_model.model.conv.lora_A.weight': [2, 3, 3, 3],
    'base_model.model.conv.lora_B.weight': [4, 2, 1, 1],
  });
  const config = {
    ...{ peft_type: 'LORA', r: 2, lora_alpha: 4, use_rslora: false, fan_in_fan_out: false },
    ...{
      rank_pattern: { 'self_attn.q_proj': 2 },
      alpha_pattern: { conv: 8 },
      target_modules: ['q_proj', 'conv'],
    },
  };
  const kohya = float32File({
    'lora_unet_down_blocks_0.lora_down.weight': [2, 8],
    'lora_unet_down_blocks_0.lora_up.weight': [6, 2],
    'lora_unet_down_blocks_0.alpha': [],
  });
  return [
    {
      files: [
        { path: 'adapter_model.safetensors', bytes: peft },
        { path: 'adapter_config.json', bytes: json(config) },
      ],
      open: 'adapter_model.safetensors',
    },
    { files: [{ path: 'kohya.safetensors', bytes: kohya }], open: 'kohya.safetensors' },
  ];
}

export const MODELS: readonly ReaderEntry[] = [
  {
    name: 'gguf',
    seeds: () => fixtureFiles('.', /\.gguf$/),
    sharedSeeds: () => sharedFiles(/\.gguf$/),
    mutators: () => GGUF,
  },
  {
    name: 'hdf5',
    seeds: () => fixtureFiles('hdf5', /\.h5(?:\.gz)?$/),
    sharedSeeds: () => sharedFiles(/\.(?:h5|hdf5)$/),
    mutators: () => HDF5,
    repair: repairHdf5,
  },
  {
    name: 'keras',
    seeds: () => fixtureFiles('hdf5', /\.keras(?:\.gz)?$/),
    sharedSeeds: () => sharedFiles(/\.keras$/),
    mutators: () => [...ZIP, ...Array<Mutator>(2 * ZIP.length).fill(insideKeras)],
  },
  {
    name: 'tensorflow',
    seeds: () => [
      ...tensorflow('keras', /./, 'ckpt-1.index', ''),
      ...tensorflow('slim', /./, 'model.ckpt-7.index'),
      ...tensorflow('types', /^big/, 'big.index'),
      ...tensorflow('types', /^snappy/, 'snappy.index'),
      ...tensorflow('types', /^two/, 'two.index'),
      ...tensorflow('export', /./, 'variables/variables.index'),
    ],
    mutators: byName([/\.index$/, SSTABLE]),
  },
  {
    name: 'saved-model',
    // The graph itself is not in the fixtures: a schema version, as every one begins.
    seeds: () =>
      tensorflow('saved', /./, '').map((seed) => ({
        ...seed,
        files: [...seed.files, { path: 'saved_model.pb', bytes: Buffer.from([0x08, 0x01]) }],
      })),
    mutators: byName([/\.index$/, SSTABLE], [/\.pb$/, [mutateProtobuf]]),
  },
  {
    name: 'tensorflow-js',
    seeds: () => tensorflow('web', /./, 'model.json').flatMap((seed) => [seed, smallWebModel()]),
    mutators: byName([/\.json$/, [mutateJson]]),
  },
  {
    name: 'tflite',
    seeds: () => fixtureFiles('.', /\.tflite$/),
    sharedSeeds: () => sharedFiles(/\.tflite$/),
    mutators: () => [mutateFlatbuffer],
  },
  {
    name: 'onnx',
    seeds: () => fixtureFiles('.', /\.onnx$/),
    sharedSeeds: () => sharedFiles(/\.onnx$/),
    mutators: () => [mutateProtobuf],
  },
  {
    name: 'packed',
    seeds: () => [
      ...fixtureFiles('packed', /^(?!expected).*\.safetensors$/),
      ...fixtureFolder('packed/fp8_blocks', 'fp8_blocks.safetensors'),
      ...fixtureFolder('packed/gptq_act_order', 'gptq_act_order.safetensors'),
      ...fixtureFolder('packed/gptq_v2', 'gptq_v2.safetensors'),
      ...fixtureFolder('packed/mlx', 'mlx.safetensors'),
    ],
    mutators: byName([/\.safetensors$/, [mutateSafetensorsHeader]], [/\.json$/, [mutateJson]]),
  },
  {
    name: 'adapters',
    seeds: adapters,
    mutators: byName([/\.safetensors$/, [mutateSafetensorsHeader]], [/\.json$/, [mutateJson]]),
  },
];
