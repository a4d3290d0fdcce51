/** What the files beside a checkpoint say of how its weights are packed. Their text is data only, and may be anything. */
import path from 'node:path';
import { CheckpointError } from '../errors';
import { withFile } from '../file';
import { JsonReader } from '../json';

/**
 * Largest configuration that is read. Those with settings for every layer of a mixture of experts have a few megabytes.
 */
const MAX_CONFIG_BYTES = 8 * 1024 * 1024;

/** Where Hugging Face models say it; where AutoGPTQ and AutoAWQ did before. The first that says anything counts. */
const FILES = ['config.json', 'quantize_config.json', 'quant_config.json'] as const;

export interface QuantisationConfig {
  /** Name of the file that says so; absent where none does. */
  readonly file?: string;
  /** `gptq`, `awq`, `fp8`, `compressed-tensors` … */
  readonly method?: string;
  /** `gptq`, `gptq_v2`, `marlin` … */
  readonly checkpointFormat?: string;
  /** Of AutoAWQ: `gemm`, `gemv` … in lower case. */
  readonly version?: string;
  readonly bits?: number;
  /** Absent for one group a row. */
  readonly groupSize?: number;
  /** Rows and columns of a block. */
  readonly blockSize?: readonly [number, number];
  /** Settings for one module, by its name, where they differ (MLX). */
  readonly ofModule: (name: string) => ModuleSettings;
  /** Why a configuration that is there is not used. */
  readonly note?: string;
}

export interface ModuleSettings {
  readonly bits?: number;
  readonly groupSize?: number;
}

/** The configuration in a checkpoint's folder; without one, or with one that cannot be used, nothing is stated. */
export async function readQuantisationConfig(folder: string): Promise<QuantisationConfig> {
  let note: string | undefined;
  for (const name of FILES) {
    try {
      const parsed = await readJson(path.join(folder, name));
      const section = name === 'config.json' ? sectionOf(parsed) : parsed;
      if (section !== undefined) return { file: name, ...configOf(section) };
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      if (error.kind !== 'io') note ??= error.message;
    }
  }
  return { ofModule: () => ({}), ...(note !== undefined && { note }) };
}

type JsonObject = Readonly<Record<string, unknown>>;

async function readJson(file: string): Promise<JsonObject> {
  const text = await withFile(file, (opened) => {
    if (opened.size > MAX_CONFIG_BYTES)
      throw new CheckpointError('unsupported', `a configuration of ${opened.size} bytes is not read`, {
        file,
      });
    return opened.read(0, opened.size);
  });
  return parseObject(text, file);
}

/**
 * Text as a JSON object. Built whole, not along a schema: a value here may be of any kind, and all that is asked is
 * whether some keys have numbers or short texts. The bounded reader goes over it first.
 *
 * @throws CheckpointError `malformed`
 */
export function parseObject(text: Uint8Array, file?: string): JsonObject {
  try {
    const json = new JsonReader(text);
    json.skip();
    json.end();
    const parsed: unknown = JSON.parse(
      Buffer.from(text.buffer, text.byteOffset, text.length).toString('utf8'),
    );
    const object = asObject(parsed);
    if (object !== undefined) return object;
    throw new CheckpointError('malformed', 'JSON: no object');
  } catch (error) {
    const where = file === undefined ? {} : { file };
    if (error instanceof CheckpointError) throw error.at(where);
    throw new CheckpointError('malformed', 'JSON: not valid', where, { cause: error });
  }
}

/** A member of the object's own: `__proto__` is a name as any other. */
export function member(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject) // an object of JSON has text keys only
    : undefined;
}

/** A whole number above 0. */
export function asCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** Longest name of a method or version; longer texts are none. */
const MAX_NAME_CHARACTERS = 64;

function asName(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= MAX_NAME_CHARACTERS ? value : undefined;
}

/** Models that see and read keep their language model's configuration in a section of its own. */
function sectionOf(config: JsonObject): JsonObject | undefined {
  const direct = asObject(member(config, 'quantization_config')) ?? asObject(member(config, 'quantization'));
  if (direct !== undefined) return direct;
  const text = asObject(member(config, 'text_config'));
  return text === undefined ? undefined : asObject(member(text, 'quantization_config'));
}

function configOf(section: JsonObject): Omit<QuantisationConfig, 'file'> {
  const method = asName(member(section, 'quant_method'));
  const checkpointFormat = asName(member(section, 'checkpoint_format'));
  const version = asName(member(section, 'version'))?.toLowerCase();
  const blocks = member(section, 'weight_block_size');
  const [blockRows, blockColumns] = Array.isArray(blocks) ? blocks.map(asCount) : [];
  const isBlocks = blockRows !== undefined && blockColumns !== undefined;
  return {
    ...(method !== undefined && { method }),
    ...(checkpointFormat !== undefined && { checkpointFormat }),
    ...(version !== undefined && { version }),
    ...settingsOf(section),
    ...(isBlocks && { blockSize: [blockRows, blockColumns] }),
    ofModule: (name) => settingsOf(asObject(member(section, name)) ?? section),
  };
}

function settingsOf(section: JsonObject): ModuleSettings {
  const bits = asCount(member(section, 'bits')) ?? asCount(member(section, 'w_bit'));
  const groupSize = asCount(member(section, 'group_size')) ?? asCount(member(section, 'q_group_size'));
  return { ...(bits !== undefined && { bits }), ...(groupSize !== undefined && { groupSize }) };
}
