import { CheckpointError } from '../../../checkpoint/errors';
import type { SampleSource } from '../sampleSource';
import { JpegDecoder, looksLikeJpeg } from './jpeg';
import { withChannels, type Fail, type Picture } from './picture';
import { listPictures, type PictureFile, type PictureFiles } from './pictureFiles';
import { decodePng, looksLikePng } from './png';
import { resize } from './resize';

/** Decoded pictures kept from one pass over the data to the next: all of CIFAR-10 as bytes, or 3,500 of ImageNet. */
const MAX_KEPT_BYTES = 512 * 1024 * 1024;

export interface PictureOptions {
  /** [height, width]; absent: all must have the size of the first. */
  readonly size: readonly [number, number] | undefined;
  /** Absent: those of the first picture. */
  readonly channels: 1 | 3 | undefined;
  readonly from: number;
  readonly to: number;
}

/**
 * A folder of class folders, or a zip of them. The first picture is decoded at once, for its size.
 *
 * @throws CheckpointError naming the picture
 */
export async function openPictures(given: string, options: PictureOptions): Promise<SampleSource> {
  const files = await listPictures(given);
  try {
    const decoder = new JpegDecoder();
    const [first] = files.files;
    if (first === undefined) throw new CheckpointError('unsupported', 'no pictures in it', { file: given });
    const { width, height, channels } = await decodePicture(first, decoder);
    const [wantedHeight, wantedWidth] = options.size ?? [height, width];
    return new PictureSource(files, decoder, options, {
      height: wantedHeight,
      width: wantedWidth,
      channels: options.channels ?? channels,
    });
  } catch (error) {
    await files.close();
    throw error;
  }
}

type Size = Pick<Picture, 'width' | 'height' | 'channels'>;

class PictureSource implements SampleSource {
  readonly layout = 'hwc';
  readonly areBytes = true;
  readonly samples: number;
  readonly shape: readonly number[];
  readonly notes: readonly string[];
  readonly labels?: Int32Array;
  private readonly kept = new Map<number, Picture>();
  private keptBytes = 0;

  constructor(
    private readonly pictures: PictureFiles,
    private readonly decoder: JpegDecoder,
    private readonly options: PictureOptions,
    private readonly size: Size,
  ) {
    this.samples = pictures.files.length;
    this.shape = [size.height, size.width, size.channels];
    this.notes = pictures.notes;
    if (pictures.labels !== undefined) this.labels = pictures.labels;
  }

  get contents(): AsyncGenerator<string | Uint8Array> {
    return this.readContents();
  }

  async read(from: number, to: number): Promise<Float32Array> {
    const { height, width, channels } = this.size;
    const length = height * width * channels;
    const result = new Float32Array((to - from) * length);
    for (let i = from; i < to; i++) result.set((await this.picture(i)).values, (i - from) * length);
    return result;
  }

  close(): Promise<void> {
    this.kept.clear();
    return this.pictures.close();
  }

  /** Only the pictures that are used: a folder may hold many more. */
  private async *readContents(): AsyncGenerator<string | Uint8Array> {
    for (const file of this.pictures.files.slice(this.options.from, this.options.to)) {
      const bytes = await file.read();
      yield `${file.name} ${bytes.length}\n`;
      yield bytes;
    }
  }

  private async picture(index: number): Promise<Picture> {
    const known = this.kept.get(index);
    if (known !== undefined) return known;
    const file = this.pictures.files[index];
    if (file === undefined) throw new RangeError(`there is no picture ${index}`);
    const decoded = withChannels(await decodePicture(file, this.decoder), this.size.channels);
    const { height, width } = this.size;
    const isSame = decoded.height === height && decoded.width === width;
    if (!isSame && this.options.size === undefined) {
      const sizes = `${decoded.height} × ${decoded.width} pixels, not ${height} × ${width} as the first`;
      const reason = `picture "${file.name}" has ${sizes}: give "size" in the recipe to resize all`;
      throw new CheckpointError('unsupported', reason, file.location);
    }
    const picture = resize(decoded, height, width);
    if (this.keptBytes + picture.values.byteLength <= MAX_KEPT_BYTES) {
      this.keptBytes += picture.values.byteLength;
      this.kept.set(index, picture);
    }
    return picture;
  }
}

async function decodePicture(file: PictureFile, decoder: JpegDecoder): Promise<Picture> {
  const fail: Fail = (kind, reason, cause) =>
    new CheckpointError(kind, `picture "${file.name}": ${reason}`, file.location, { cause });
  const bytes = await file.read();
  if (looksLikePng(bytes)) return decodePng(bytes, fail);
  if (looksLikeJpeg(bytes)) return decoder.decode(bytes, fail);
  throw fail('malformed', 'neither a PNG nor a JPEG, whatever its name says');
}
