import type { FileHandle } from 'node:fs/promises';
import type { Tensor } from '../../checkpoint/checkpoint';
import type { StagedFiles } from '../../checkpoint/write/staging';
import { writeAt } from '../../checkpoint/write/staging';

/**
 * Factors held in memory until all layers are done; more of them wait in a file beside the result, so that memory stays
 * within what is promised whatever the model's size.
 */
const MAX_HELD_BYTES = 64 << 20;

/** Finished factors, as tensors that can be read like any other. */
export class FactorStore {
  private held = 0;
  private written = 0;
  private file: Promise<{ readonly path: string; readonly handle: FileHandle }> | undefined;

  /** @param target the file that the factors are for */
  constructor(
    private readonly staged: StagedFiles,
    private readonly target: string,
  ) {}

  /** @param values row-major, as the shape says. @throws CheckpointError of kind `io` when the disk is full. */
  async keep(name: string, shape: readonly number[], values: Float32Array): Promise<Tensor> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const byteLength = bytes.length;
    const tensor = { name, shape, dtype: 'float32', role: 'factor' } as const;
    if (this.held + byteLength <= MAX_HELD_BYTES) {
      this.held += byteLength;
      return { ...tensor, storage: { encoding: 'memory', path: this.target, bytes, byteLength } };
    }
    const offset = this.written;
    this.written += byteLength;
    this.file ??= this.staged.scratch(this.target);
    const { path, handle } = await this.file;
    await writeAt(handle, bytes, offset);
    return { ...tensor, storage: { encoding: 'raw', path, offset, byteLength } };
  }
}
