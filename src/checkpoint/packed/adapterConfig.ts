/** `adapter_config.json`, which PEFT and MLX keep beside the matrices of an adapter. */
import path from 'node:path';
import { CheckpointError } from '../errors';
import { withFile } from '../file';
import { JsonReader } from '../json';

export const CONFIG_NAME = 'adapter_config.json';

/** PEFT writes some two kilobytes; with a rank and an α for each of a thousand modules, a hundred. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
/** One for each module; the largest models have some hundred thousand, adapters hundreds. */
const MAX_PATTERNS = 10_000;

export interface AdapterConfig {
  /** `LORA`; absent in MLX' files. */
  readonly method?: string;
  /** r where `rank_pattern` says nothing else: only to tell stacks from single matrices. */
  readonly rank?: number;
  readonly alpha?: number;
  /** α/√r instead of α/r (Kalajdzievski, "A rank stabilization scaling factor", 2023). */
  readonly isRankStabilised: boolean;
  readonly isDora: boolean;
  /** The scale itself, as MLX keeps it. */
  readonly scale?: number;
  /** α of modules by the ends of their names; PEFT takes the first that fits. */
  readonly alphaPattern: ReadonlyMap<string, number>;
  /** Parameters that are stacks of matrices have adapters too. */
  readonly hasStacks: boolean;
  /** How the matrices began, where not at zero: PiSSA's and others' are no change of the base model's own weights. */
  readonly initialisation?: string;
}

/**
 * The settings beside a file, undefined where there are none.
 *
 * @param folder that the adapter lies in; the name is fixed, so that nothing in a file decides what is opened
 * @throws CheckpointError when they cannot be read, or are not JSON of the known form
 */
export async function readAdapterConfig(folder: string): Promise<AdapterConfig | undefined> {
  const file = path.join(folder, CONFIG_NAME);
  let bytes: Uint8Array;
  try {
    bytes = await withFile(file, async (opened) => {
      if (opened.size > MAX_CONFIG_BYTES)
        throw new CheckpointError('unsupported', `${opened.size} bytes of settings`, { file });
      return opened.read(0, opened.size);
    });
  } catch (error) {
    if (error instanceof CheckpointError && isMissing(error)) return undefined;
    throw error;
  }
  try {
    return parseConfig(new JsonReader(bytes));
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file }) : error;
  }
}

function isMissing({ cause }: CheckpointError): boolean {
  const inner = cause instanceof CheckpointError ? cause.cause : cause;
  const code = inner instanceof Error && 'code' in inner ? inner.code : undefined;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** MLX' settings stand in an object of their own. */
interface MlxSettings {
  scale?: number;
  alpha?: number;
  rank?: number;
}

function parseConfig(json: JsonReader): AdapterConfig {
  let method: string | undefined;
  let rank: number | undefined;
  let alpha: number | undefined;
  let initialisation: string | undefined;
  let alphaPattern: ReadonlyMap<string, number> = new Map();
  let [isRankStabilised, isDora, hasStacks] = [false, false, false];
  let mlx: MlxSettings = {};
  json.object((key) => {
    const kind = json.kind();
    if (key === 'peft_type' && kind === 'string') method = json.string();
    else if (key === 'r' && kind === 'number') rank = json.number();
    else if (key === 'lora_alpha' && kind === 'number') alpha = json.number();
    else if (key === 'use_rslora' && kind === 'boolean') isRankStabilised = json.boolean();
    else if (key === 'use_dora' && kind === 'boolean') isDora = json.boolean();
    else if (key === 'fine_tune_type' && kind === 'string') isDora ||= json.string() === 'dora';
    else if (key === 'init_lora_weights' && kind === 'string') initialisation = json.string();
    else if (key === 'alpha_pattern' && kind === 'object') alphaPattern = numbersByName(json);
    else if (key === 'target_parameters' && kind === 'array') hasStacks = isFilled(json);
    else if (key === 'lora_parameters' && kind === 'object') mlx = mlxSettings(json);
    else json.skip();
  });
  json.end();
  const scale = mlxScale(mlx);
  return {
    ...(method !== undefined && { method }),
    ...(rank !== undefined && { rank }),
    ...(alpha !== undefined && { alpha }),
    ...(scale !== undefined && { scale }),
    ...(initialisation !== undefined && { initialisation }),
    ...{ isRankStabilised, isDora, hasStacks, alphaPattern },
  };
}

/** Earlier versions of MLX multiply by α/r besides. */
function mlxScale({ scale, alpha, rank }: MlxSettings): number | undefined {
  if (scale === undefined) return undefined;
  return alpha !== undefined && rank !== undefined && rank > 0 ? (scale * alpha) / rank : scale;
}

function mlxSettings(json: JsonReader): MlxSettings {
  const settings: MlxSettings = {};
  json.object((key) => {
    const isNumber = json.kind() === 'number';
    if (isNumber && (key === 'scale' || key === 'alpha' || key === 'rank')) settings[key] = json.number();
    else json.skip();
  });
  return settings;
}

function numbersByName(json: JsonReader): Map<string, number> {
  const numbers = new Map<string, number>();
  json.object((name) => {
    if (numbers.size >= MAX_PATTERNS) throw json.error(`more than ${MAX_PATTERNS} patterns`);
    if (json.kind() === 'number') numbers.set(name, json.number());
    else json.skip();
  });
  return numbers;
}

function isFilled(json: JsonReader): boolean {
  let count = 0;
  json.array(() => {
    json.skip();
    count++;
  });
  return count > 0;
}
