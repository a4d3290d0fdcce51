/** What the product of an adapter's two matrices is multiplied by. */
import type { Checkpoint, Tensor } from '../checkpoint';
import { elementCount } from '../checkpoint';
import { isFloating } from '../dtype';
import { decodeElements } from '../elements';
import type { AdapterConfig } from './adapterConfig';
import type { TrainedAdapter } from './adapterMetadata';
import { FileDescriptors, readTensorBytesSync } from '../tensorData';

/** What is known of the scales of the adapters of one checkpoint. */
export interface ScaleSources {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: Checkpoint['adapterMetadata'];
  readonly trained: ReadonlyMap<string, TrainedAdapter>;
  readonly config: AdapterConfig | undefined;
}

/** One adapter, as far as its scale depends on it. */
export interface ToScale {
  readonly module: string;
  readonly weight: string;
  readonly alphas: readonly string[];
  readonly rank: number;
}

export type Scale =
  | { readonly kind: 'known'; readonly scale: number }
  /** Nothing says it. */
  | { readonly kind: 'unknown' }
  /** What says it makes no sense: `odd` completes "… is `odd`". */
  | { readonly kind: 'odd'; readonly odd: string };

/** Keeps files open while the many single numbers of a checkpoint are read. */
export class Scales {
  private readonly files = new FileDescriptors();

  constructor(private readonly sources: ScaleSources) {}

  close(): void {
    this.files.closeAll();
  }

  /**
   * s of ΔW = s·B·A: α/r with the α of the file or of the settings beside it, α/√r where those say so.
   *
   * @throws CheckpointError `io`
   */
  of(adapter: ToScale): Scale {
    const { rank, weight } = adapter;
    const { tensors, metadata, trained, config } = this.sources;
    const own = trained.get(weight);
    if (own !== undefined) return known((own.alpha ?? own.rank) / own.rank, 'alpha');
    const name = adapter.alphas.find((one) => tensors.has(one));
    const tensor = tensors.get(name ?? '');
    if (tensor !== undefined && isNumber(tensor)) return known(this.read(tensor) / rank, 'alpha');
    // llama.cpp takes an α of 0 for none.
    if (metadata?.alpha !== undefined && metadata.alpha !== 0) return known(metadata.alpha / rank, 'alpha');
    if (config?.scale !== undefined) return known(config.scale, 'scale');
    const alpha = config === undefined ? undefined : alphaOf(adapter, config);
    if (alpha === undefined) return { kind: 'unknown' };
    return known(alpha / (config?.isRankStabilised === true ? Math.sqrt(rank) : rank), 'alpha');
  }

  private read(tensor: Tensor): number {
    return decodeElements(readTensorBytesSync(tensor, this.files), tensor.dtype)[0] ?? NaN;
  }
}

function known(scale: number, what: string): Scale {
  const isSensible = Number.isFinite(scale) && scale !== 0;
  return isSensible ? { kind: 'known', scale } : { kind: 'odd', odd: `${what} is 0 or no finite number` };
}

/** A number as the file keeps it, so that reading it is a few bytes. */
function isNumber({ shape, dtype, storage }: Tensor): boolean {
  return elementCount(shape) === 1 && isFloating(dtype) && storage.encoding === 'raw';
}

/** PEFT takes the first pattern that the end of a module's name fits. */
function alphaOf({ module }: ToScale, { alpha, alphaPattern }: AdapterConfig): number | undefined {
  for (const [pattern, own] of alphaPattern) {
    const name = plainName(pattern);
    if (name !== undefined && (module === name || module.endsWith(`.${name}`))) return own;
  }
  return alpha;
}

/** The name that a pattern stands for; undefined for regular expressions of more than names, which are not run. */
export function plainName(pattern: string): string | undefined {
  const name = pattern.replace(/^\^/, '').replace(/\$$/, '').replaceAll('\\.', '.');
  return /[\\^$*+?()[\]{}|]/.test(name) ? undefined : name;
}
