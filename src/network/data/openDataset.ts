/** Data of a recipe, ready for a network. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { CheckpointError } from '../../checkpoint/errors';
import { ioError, withFile, type RandomAccessFile } from '../../checkpoint/file';
import { findNpyEntries, looksLikeNpy } from '../../checkpoint/formats/numpy';
import { ZipArchive } from '../../checkpoint/zip';
import type { DataFormat, ResolvedData, ResolvedRecipe } from '../recipe';
import { openNpyData, openNpzData } from './arrays';
import { looksLikeCifar, openCifarData } from './cifar';
import type { Dataset, NetworkData, NetworkInput } from './dataset';
import { gunzipStart, isGzip } from './gzip';
import { looksLikeIdx, openIdxData } from './idx';
import { openPictures } from './images/pictureSource';
import type { SampleSource } from './sampleSource';
import { sampleTransform, type SampleTransform } from './transform';

/**
 * Gram and validation data for one network; one data set when the recipe names one.
 *
 * @param network what the network takes; absent: samples stay as the file lays them out
 * @throws CheckpointError with one line that names file and place
 */
export async function openNetworkData(
  data: NonNullable<ResolvedRecipe['data']>,
  network: NetworkInput | undefined,
  signal: AbortSignal,
): Promise<NetworkData> {
  const validation = await openDataset(data.validation, network, signal);
  if (data.gram === undefined) return { gram: validation, validation, batchSize: data.batchSize };
  try {
    const gram = await openDataset(data.gram, network, signal);
    return { gram, validation, batchSize: data.batchSize };
  } catch (error) {
    await validation.dispose();
    throw error;
  }
}

/** Closes both, once each. */
export async function disposeNetworkData({ gram, validation }: NetworkData): Promise<void> {
  await validation.dispose();
  if (gram !== validation) await gram.dispose();
}

/**
 * @throws CheckpointError with one line that names file and place
 * @throws the signal's reason when it is aborted
 */
export async function openDataset(
  data: ResolvedData,
  network: NetworkInput | undefined,
  signal: AbortSignal,
): Promise<Dataset> {
  signal.throwIfAborted();
  const source = await openSource(data, network);
  try {
    const [from, to] = rangeOf(data, source.samples);
    const transform = transformOf(data, source, network);
    const identity = await identityOf(data, transform.shape, source, signal);
    const { labels, notes } = source;
    return {
      samples: to - from,
      shape: transform.shape,
      ...(labels !== undefined && { labels: labels.slice(from, to) }),
      identity,
      notes,
      read: async (first, last) => {
        if (!(first >= 0 && first <= last && last <= to - from))
          throw new RangeError(`samples ${first} to ${last} of ${to - from}`);
        return transform.apply(await source.read(from + first, from + last));
      },
      dispose: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function openSource(data: ResolvedData, network: NetworkInput | undefined): Promise<SampleSource> {
  const [file = ''] = data.path;
  const format = data.format ?? (await recognise(file));
  if (data.path.length > 1 && format !== 'cifar')
    throw new CheckpointError('unsupported', 'only CIFAR batches come in several files', { file });
  const labelFile = data.labels === undefined ? undefined : path.resolve(data.folder, data.labels);
  switch (format) {
    case 'npz':
      return openNpzData(file, data.inputs, data.labels);
    case 'npy':
      return openNpyData(file, labelFile);
    case 'idx':
      return openIdxData(file, labelFile);
    case 'cifar':
      return openCifarData(data.path, data.labels);
    case 'images': {
      const { from = 0, to = Infinity, size } = data;
      return openPictures(file, { size, channels: channelsOf(data, network), from, to });
    }
  }
}

function channelsOf({ colours }: ResolvedData, network: NetworkInput | undefined): 1 | 3 | undefined {
  if (colours !== undefined) return colours === 'grey' ? 1 : 3;
  if (network === undefined || network.shape.length === 1) return undefined;
  if (network.shape.length === 2) return 1;
  const channels = network.shape[network.layout === 'chw' ? 0 : 2];
  return channels === 1 || channels === 3 ? channels : undefined;
}

/** The format of a file or folder, by its content. */
async function recognise(file: string): Promise<DataFormat> {
  const isFolder = await stat(file).then(
    (facts) => facts.isDirectory(),
    (error: unknown) => {
      throw ioError(error, file);
    },
  );
  if (isFolder) return 'images';
  const format = await withFile(file, sniff);
  if (format !== undefined) return format;
  const reason =
    'no data that is read: .npz, .npy, IDX (.gz too), CIFAR binaries, folders and zips of class folders are';
  throw new CheckpointError('unsupported', reason, { file });
}

/** More than any of the signatures. */
const HEAD_BYTES = 64;

async function sniff(opened: RandomAccessFile): Promise<DataFormat | undefined> {
  const head = await opened.read(0, Math.min(opened.size, HEAD_BYTES));
  if (looksLikeNpy(head)) return 'npy';
  if (Buffer.from(head).toString('latin1').startsWith('PK')) {
    return findNpyEntries(await ZipArchive.open(opened)) === undefined ? 'images' : 'npz';
  }
  // Before IDX: a batch whose first image has class 0 and a black corner begins with zeros as well.
  if (looksLikeCifar(opened.path, opened.size)) return 'cifar';
  const start = isGzip(head) ? await gunzipStart(opened, HEAD_BYTES) : head;
  return looksLikeIdx(start) ? 'idx' : undefined;
}

function rangeOf({ from = 0, to, path: [file = ''] }: ResolvedData, samples: number): [number, number] {
  const end = to ?? samples;
  if (samples > 0 && end <= samples && from < end) return [from, end];
  const wanted = `samples ${from} to ${end - 1}`;
  throw new CheckpointError('malformed', `${wanted} are asked for (from, to), but there are ${samples}`, {
    file,
  });
}

function transformOf(
  data: ResolvedData,
  source: SampleSource,
  network: NetworkInput | undefined,
): SampleTransform {
  try {
    return sampleTransform({
      shape: source.shape,
      layout: data.layout ?? source.layout,
      networkLayout: data.networkLayout,
      network,
      scale: data.scale ?? (source.areBytes ? 1 / 255 : 1),
      mean: data.mean ?? 0,
      std: data.std ?? 1,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError('unsupported', reason, { file: data.path[0] ?? '' }, { cause: error });
  }
}

/** Of what decides the values; paths do not, so that data can be moved. */
async function identityOf(
  data: ResolvedData,
  shape: readonly number[],
  { contents }: SampleSource,
  signal: AbortSignal,
): Promise<string> {
  const { from, to, scale, mean, std, layout, networkLayout, size, colours, inputs, format } = data;
  const labels = data.labels === undefined ? undefined : path.basename(data.labels);
  const settings = {
    from,
    to,
    scale,
    mean,
    std,
    layout,
    networkLayout,
    size,
    colours,
    inputs,
    format,
    labels,
  };
  const hash = createHash('sha256').update(JSON.stringify({ ...settings, shape }));
  for await (const part of contents) {
    signal.throwIfAborted();
    hash.update(part);
  }
  return hash.digest('hex');
}
