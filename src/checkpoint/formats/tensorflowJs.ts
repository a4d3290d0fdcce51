import type { Checkpoint, Tensor, UnreadableTensor } from '../checkpoint';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { stateNotes } from '../roles';
import { type WeightGroup, readGroup, readModelJson } from '../tensorflowJs/manifest';
import { GroupBytes } from '../tensorflowJs/shards';
import { type FindModule, readTopology } from '../tensorflowJs/topology';
import { findWeight } from '../tensorflowJs/weights';

/** Each takes some 500 bytes of memory; graphs have some thousand. */
const MAX_WEIGHTS = 400_000;

/**
 * A TensorFlow.js model, of layers or as a graph: `model.json` with its `weightsManifest`, and the files of weights that
 * it names, in its folder or below. Weights go by the names in the manifest; those of a graph are named after its
 * constants, and the operations that take them tell what they are.
 *
 * @throws CheckpointError `malformed` for a manifest that breaks the format, weight files that are missing, elsewhere
 * or of another size; `unsupported` for types of unknown size
 */
export async function openTensorflowJs(file: RandomAccessFile): Promise<Checkpoint> {
  const { path } = file;
  const { modelTopology, weightsManifest } = await readModelJson(path);
  if (!Array.isArray(weightsManifest))
    throw new CheckpointError(
      'unsupported',
      'a TensorFlow.js model without weights ("weightsManifest" is missing)',
      {
        file: path,
      },
    );
  const groups = weightsManifest.map((group: unknown) => readGroup(group, path));
  const weights = groups.reduce((sum, { specs }) => sum + specs.length, 0);
  if (weights > MAX_WEIGHTS) throw new CheckpointError('unsupported', `${weights} weights`, { file: path });
  const topology = readTopology(modelTopology);
  const reader = new ManifestReader(path, topology.module);
  for (const group of groups) await reader.add(group);
  return {
    path,
    format: `TensorFlow.js ${topology.kind}`,
    files: [path, ...reader.files],
    bytes: file.size + reader.bytes,
    tensors: reader.tensors,
    unreadable: reader.unreadable,
    readOnly: true,
    notes: stateNotes(reader.tensors),
  };
}

class ManifestReader {
  readonly tensors: Tensor[] = [];
  readonly unreadable: UnreadableTensor[] = [];
  readonly files: string[] = [];
  bytes = 0;
  private readonly names = new Set<string>();
  private readonly paths = new Set<string>();

  constructor(
    private readonly model: string,
    private readonly module: FindModule,
  ) {}

  async add(group: WeightGroup): Promise<void> {
    for (const shard of group.paths) {
      if (this.paths.has(shard))
        throw new CheckpointError('malformed', 'the manifest names a weight file twice', {
          file: this.model,
        });
      this.paths.add(shard);
    }
    const bytes = await GroupBytes.locate(group, this.model);
    let begin = 0;
    for (const spec of group.specs) {
      try {
        if (this.names.has(spec.name)) throw new CheckpointError('malformed', 'is in the manifest twice');
        this.names.add(spec.name);
        const { tensor, unreadable, byteLength } = await findWeight(spec, bytes, begin, this.module(spec));
        if (tensor !== undefined) this.tensors.push(tensor);
        if (unreadable !== undefined) this.unreadable.push(unreadable);
        begin += byteLength;
      } catch (error) {
        throw error instanceof CheckpointError ? error.at({ file: this.model, tensor: spec.name }) : error;
      }
    }
    if (begin !== bytes.size) {
      const reason = `the weights need ${begin} bytes of files that have ${bytes.size}`;
      throw new CheckpointError('malformed', reason, { file: this.model });
    }
    this.files.push(...bytes.files);
    this.bytes += bytes.size;
  }
}
