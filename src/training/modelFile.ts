/** A trained network as a checkpoint that audits, conversions and later runs read. */
import type { Architecture, BuiltinLayer } from '../network/builtin/architecture';
import type { FactoredLayer } from '../checkpoint/formats/factors';
import { TRAINED_ADAPTERS_KEY } from '../checkpoint/packed/adapterMetadata';
import { factorMetadata } from '../checkpoint/write/factorFile';
import { StagedFiles } from '../checkpoint/write/staging';
import { writeSafetensorsInto, type TensorToWrite } from '../checkpoint/write/safetensors';
import { weightOf } from '../network/builtin/layerWeight';
import { arrayNames } from '../network/builtin/weight';

type Values = ReadonlyMap<string, Float32Array>;

/** Beside the model, where it has adapters: what PEFT calls its own. */
export const ADAPTER_FILE = 'adapter_model.safetensors';
/** The same of the best evaluation. */
export const BEST_ADAPTER_FILE = 'best_adapter_model.safetensors';

/** Where a model comes from, for people who find the file. */
export interface ModelOrigin {
  readonly recipe: string;
  readonly run: string;
  readonly step: number;
}

/**
 * Writes the model: factored layers as factors that readers multiply out; adapters added to their weights, and once more by
 * themselves in a file beside it. Both files or none.
 *
 * @throws CheckpointError `io`
 */
export async function writeModel(
  file: string,
  adapterFile: string,
  architecture: Architecture,
  values: Values,
  origin: ModelOrigin,
): Promise<void> {
  const metadata = new Map([['rankscope.run', JSON.stringify(origin)]]);
  const factored = architecture.layers.filter(({ form }) => form.kind === 'low-rank' || form.kind === 'sine');
  const adapted = architecture.layers.filter(({ form }) => form.kind === 'lora' || form.kind === 'sine-lora');
  const tensors = modelTensors(architecture, values, adapted);
  const staged = new StagedFiles();
  try {
    const source = { name: origin.recipe, format: 'a training run' };
    const factors =
      factored.length === 0 ? [] : factorMetadata(factored.map(factoredLayer), new Map(), source);
    const model = new Map([...factors, ...metadata]);
    await staged.write(file, (handle) => writeSafetensorsInto(handle, file, tensors, model));
    if (adapted.length > 0) {
      const adapters = new Map([
        ...metadata,
        [TRAINED_ADAPTERS_KEY, JSON.stringify(adapted.map(adapterFacts))],
      ]);
      const own = adapterTensors(architecture, values, adapted);
      await staged.write(adapterFile, (handle) => writeSafetensorsInto(handle, adapterFile, own, adapters));
    }
    await staged.commit();
  } finally {
    await staged.discard();
  }
}

function modelTensors(
  { parameters }: Architecture,
  values: Values,
  adapted: readonly BuiltinLayer[],
): TensorToWrite[] {
  const merged = new Map(adapted.map((layer) => [layer.name, layer]));
  const left = new Set(adapted.flatMap(adapterNames));
  return parameters
    .filter(({ name }) => !left.has(name))
    .map(({ name, shape }) => {
      const layer = merged.get(name);
      return tensor(name, shape, layer === undefined ? values.get(name) : weightOf(layer, values));
    });
}

function adapterTensors(
  { parameters }: Architecture,
  values: Values,
  adapted: readonly BuiltinLayer[],
): TensorToWrite[] {
  const own = new Set(adapted.flatMap(adapterNames));
  return parameters
    .filter(({ name }) => own.has(name))
    .map(({ name, shape }) => tensor(name, shape, values.get(name)));
}

function adapterNames({ name }: BuiltinLayer): readonly string[] {
  const { A, B } = arrayNames(name);
  return [A, B];
}

/** Read by `checkpoint/packed/adapterMetadata.ts`; change both together. */
function adapterFacts({ name, form, omega, gain, weightShape }: BuiltinLayer): object {
  const alpha = 'alpha' in form ? form.alpha : undefined;
  const rank = 'rank' in form ? form.rank : 0;
  return { name, kind: form.kind, rank, alpha, omega, gain, shape: weightShape };
}

function factoredLayer(layer: BuiltinLayer): FactoredLayer {
  const { name, form, omega = 1, gain = 1, groups, weightShape } = layer;
  const isSine = form.kind === 'sine';
  return {
    name,
    factorization: isSine ? 'sine' : 'svd',
    omega: isSine ? omega : 1,
    gains: new Array<number>(groups).fill(isSine ? gain : 1),
    tensor: name,
    shape: weightShape,
    dtype: 'float32',
    transposed: false,
  };
}

function tensor(name: string, shape: readonly number[], value: Float32Array | undefined): TensorToWrite {
  if (value === undefined) throw new RangeError(`no values of ${name}`);
  const data = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return { name, dtype: 'float32', shape, data };
}
