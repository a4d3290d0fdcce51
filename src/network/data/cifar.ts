/** The binary version of CIFAR-10 and CIFAR-100: records of one or two label bytes and 3 × 32 × 32 pixels. */
import path from 'node:path';
import { CheckpointError } from '../../checkpoint/errors';
import { RandomAccessFile } from '../../checkpoint/file';
import { fileContents } from './contents';
import type { SampleSource } from './sampleSource';

const SHAPE = [3, 32, 32] as const;
const PIXEL_BYTES = 3 * 32 * 32;
/** Records read at once while the labels are collected. */
const CHUNK_RECORDS = 1024;

/** Labels of a record, in their order; the number of classes of each. */
interface CifarKind {
  readonly name: string;
  readonly labels: readonly { readonly name: string; readonly classes: number }[];
}

const CIFAR10: CifarKind = { name: 'CIFAR-10', labels: [{ name: 'class', classes: 10 }] };
const CIFAR100: CifarKind = {
  name: 'CIFAR-100',
  labels: [
    { name: 'coarse', classes: 20 },
    { name: 'fine', classes: 100 },
  ],
};

/** Whether a file of this name and size can be one of the binary batches. */
export function looksLikeCifar(file: string, bytes: number): boolean {
  return /\.bin$/i.test(file) && kindOf(file, bytes) !== undefined;
}

/**
 * @param column CIFAR-100: `fine` (default) or `coarse`
 * @throws CheckpointError naming file and byte
 */
export async function openCifarData(
  files: readonly string[],
  column: string | undefined,
): Promise<SampleSource> {
  const batches: Batch[] = [];
  try {
    for (const file of files) batches.push(await Batch.open(file));
    const kinds = new Set(batches.map(({ kind }) => kind.name));
    if (kinds.size > 1) {
      throw new CheckpointError('malformed', 'batches of CIFAR-10 and CIFAR-100 together', {
        file: files[0] ?? '',
      });
    }
    const labels: Int32Array[] = [];
    for (const batch of batches) labels.push(await batch.labels(column));
    return new CifarSource(files, batches, Int32Array.from(labels.flatMap((part) => [...part])));
  } catch (error) {
    await Promise.all(batches.map((batch) => batch.close()));
    throw error;
  }
}

class CifarSource implements SampleSource {
  readonly shape = SHAPE;
  readonly layout = 'chw';
  readonly areBytes = true;
  readonly notes = [];
  readonly samples: number;

  constructor(
    private readonly files: readonly string[],
    private readonly batches: readonly Batch[],
    readonly labels: Int32Array,
  ) {
    this.samples = labels.length;
  }

  get contents(): AsyncGenerator<Uint8Array> {
    return fileContents(this.files);
  }

  async read(from: number, to: number): Promise<Float32Array> {
    const result = new Float32Array((to - from) * PIXEL_BYTES);
    let start = 0;
    for (const batch of this.batches) {
      const [first, last] = [Math.max(from, start), Math.min(to, start + batch.records)];
      if (first < last) {
        const part = await batch.pixels(first - start, last - start);
        result.set(part, (first - from) * PIXEL_BYTES);
      }
      start += batch.records;
    }
    return result;
  }

  async close(): Promise<void> {
    await Promise.all(this.batches.map((batch) => batch.close()));
  }
}

class Batch {
  private constructor(
    private readonly file: RandomAccessFile,
    readonly kind: CifarKind,
  ) {}

  static async open(path: string): Promise<Batch> {
    const file = await RandomAccessFile.open(path);
    const kind = kindOf(path, file.size);
    if (kind !== undefined) return new Batch(file, kind);
    await file.close();
    const reason = `no CIFAR batch: ${file.size} bytes are no whole number of records of 3073 or 3074`;
    throw new CheckpointError('malformed', reason, { file: path });
  }

  get records(): number {
    return this.file.size / this.recordBytes;
  }

  /** One class for each record. @throws CheckpointError for classes that the data set does not have */
  async labels(column: string | undefined): Promise<Int32Array> {
    const { labels } = this.kind;
    const index = column === undefined ? labels.length - 1 : labels.findIndex(({ name }) => name === column);
    const label = labels[index];
    if (label === undefined) {
      const names = labels.map(({ name }) => `"${name}"`).join(' or ');
      const reason = `labels of ${this.kind.name} are ${names}, not "${column ?? ''}"`;
      throw new CheckpointError('malformed', reason, { file: this.file.path });
    }
    const result = new Int32Array(this.records);
    for (let start = 0; start < this.records; start += CHUNK_RECORDS) {
      const end = Math.min(this.records, start + CHUNK_RECORDS);
      const offset = start * this.recordBytes;
      const bytes = await this.file.read(offset, (end - start) * this.recordBytes);
      for (let i = start; i < end; i++) {
        const at = (i - start) * this.recordBytes + index;
        const value = bytes[at] ?? 0;
        if (value >= label.classes) {
          const reason = `class ${value} of a ${this.kind.name} record, which has ${label.classes} classes`;
          throw new CheckpointError('malformed', reason, { file: this.file.path, offset: offset + at });
        }
        result[i] = value;
      }
    }
    return result;
  }

  async pixels(from: number, to: number): Promise<Float32Array> {
    const bytes = await this.file.read(from * this.recordBytes, (to - from) * this.recordBytes);
    const result = new Float32Array((to - from) * PIXEL_BYTES);
    for (let i = 0; i < to - from; i++) {
      const start = i * this.recordBytes + this.kind.labels.length;
      result.set(bytes.subarray(start, start + PIXEL_BYTES), i * PIXEL_BYTES);
    }
    return result;
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private get recordBytes(): number {
    return PIXEL_BYTES + this.kind.labels.length;
  }
}

/** By size; a size that both could have is decided by the name: CIFAR-100 has train.bin and test.bin. */
function kindOf(file: string, bytes: number): CifarKind | undefined {
  const fits = ({ labels }: CifarKind): boolean => bytes > 0 && bytes % (PIXEL_BYTES + labels.length) === 0;
  const isNamed100 = /^(?:train|test)\.bin$/i.test(path.basename(file));
  return (isNamed100 ? [CIFAR100, CIFAR10] : [CIFAR10, CIFAR100]).find(fits);
}
