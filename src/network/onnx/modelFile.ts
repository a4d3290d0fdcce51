import { createHash } from 'node:crypto';
import { CheckpointError } from '../../checkpoint/errors';
import { RandomAccessFile } from '../../checkpoint/file';
import { type OnnxModel, readOnnxModel } from '../../checkpoint/onnx';
import { type Piece, pieceLength } from './protobuf';

/** A protobuf message's own limit, and ONNX Runtime's. */
const MAX_MODEL_BYTES = 2 ** 31 - 1;
/** Read at once while the files are hashed. */
const HASHED_BYTES = 4 << 20;

/**
 * The files of a model, open as long as the network is: a file that is replaced meanwhile (by a new one of the same
 * name) does not mix with what was read before.
 */
export class ModelFile {
  private constructor(
    readonly model: OnnxModel,
    private readonly files: ReadonlyMap<string, RandomAccessFile>,
  ) {}

  /** @throws CheckpointError naming file and byte. */
  static async open(path: string): Promise<ModelFile> {
    const opened = new Map<string, RandomAccessFile>();
    try {
      const file = await RandomAccessFile.open(path);
      opened.set(path, file);
      const model = readOnnxModel(file);
      for (const other of model.files)
        if (!opened.has(other)) opened.set(other, await RandomAccessFile.open(other));
      return new ModelFile(model, opened);
    } catch (error) {
      for (const file of opened.values()) await file.close();
      throw error;
    }
  }

  /** Bytes [begin, end) of one of the model's files. */
  async read(path: string, begin: number, end: number): Promise<Uint8Array> {
    const file = this.files.get(path);
    if (file === undefined)
      throw new CheckpointError('io', 'not one of the files of the model', { file: path });
    return file.read(begin, end - begin);
  }

  /**
   * A message in one piece.
   *
   * @throws CheckpointError `unsupported` beyond two gibibytes.
   */
  async assemble(pieces: readonly Piece[]): Promise<Uint8Array> {
    const total = pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
    if (total > MAX_MODEL_BYTES) {
      const reason = `a model of ${total} bytes is more than ONNX Runtime takes in one piece (${MAX_MODEL_BYTES})`;
      throw new CheckpointError('unsupported', reason, { file: this.model.path });
    }
    const message = new Uint8Array(total);
    let at = 0;
    for (const piece of pieces) {
      const bytes = piece instanceof Uint8Array ? piece : await this.read(piece.path, piece.begin, piece.end);
      message.set(bytes, at);
      at += bytes.length;
    }
    return message;
  }

  /** Hex sha256 over the bytes of all files. */
  async digest(signal: AbortSignal): Promise<string> {
    const hash = createHash('sha256');
    for (const [path, { size }] of this.files) {
      hash.update(`${size}\n`);
      for (let begin = 0; begin < size; begin += HASHED_BYTES) {
        signal.throwIfAborted();
        hash.update(await this.read(path, begin, Math.min(size, begin + HASHED_BYTES)));
      }
    }
    return hash.digest('hex');
  }

  async close(): Promise<void> {
    for (const file of this.files.values()) await file.close();
  }
}
