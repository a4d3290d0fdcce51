import type { Tensor } from '../checkpoint/checkpoint';
import { identityKey } from '../checkpoint/layers';
import type { ComputeBackend } from '../compute';
import type { FileDigests, ResultCache } from './cache';

/** The files that hold a tensor's values. */
function filesOf({ storage }: Tensor): readonly string[] {
  switch (storage.encoding) {
    case 'product':
      return [...new Set([...filesOf(storage.product.U), ...filesOf(storage.product.V)])];
    case 'stack':
      return [...new Set(storage.parts.flatMap(filesOf))];
    case 'decoded':
      return [...new Set(storage.sources.flatMap(filesOf))];
    case 'raw':
    case 'deflate':
    case 'utf8':
    case 'memory':
      return [storage.path];
  }
}

/** Content hashes of tensors, remembered by file so that the next job need not read them. */
export class TensorDigests {
  private readonly files = new Map<string, Promise<FileDigests>>();

  constructor(
    private readonly cache: ResultCache,
    private readonly backend: ComputeBackend,
  ) {}

  /** Hex sha256 of the tensor's values. @throws the signal's reason, and what reading it throws. */
  async of(tensor: Tensor, signal: AbortSignal): Promise<string> {
    const [file = tensor.storage.path, ...others] = filesOf(tensor);
    // What is remembered is trusted while one file stays as it was.
    if (others.length > 0) return this.backend.digest(tensor, signal);
    const digests = this.files.get(file) ?? this.cache.fileDigests(file);
    this.files.set(file, digests);
    const known = await digests;
    const tensorKey = identityKey(tensor);
    const remembered = known.get(tensorKey);
    if (remembered !== undefined) return remembered;
    const digest = await this.backend.digest(tensor, signal);
    known.set(tensorKey, digest);
    return digest;
  }

  /** Remembers them beyond this job. */
  async save(): Promise<void> {
    const files = await Promise.all(this.files.values());
    await Promise.all(files.map((file) => file.save()));
  }
}
