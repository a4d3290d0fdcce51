/** JPEG through MozJPEG in WebAssembly: the same pixels as libjpeg, PIL and OpenCV give. */
import { readFile } from 'node:fs/promises';
import { bundledFile } from '../../../compute/wasm/kernels';
import { requireReasonableSize, type Fail, type Picture } from './picture';

/** A progressive picture comes in some ten scans, each a pass over all pixels; more only cost time. */
const MAX_SCANS = 64;

/** Grey, or YCbCr. */
const CHANNELS: ReadonlySet<number> = new Set([1, 3]);

export function looksLikeJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;
}

/** What is used of the codec; its own types need those of a browser. */
interface Codec {
  decode(bytes: Uint8Array, keepOrientation: boolean): CodecPicture | null;
}
interface CodecPicture {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** Decodes one picture after another; a codec that failed once is not used again, for it stopped halfway. */
export class JpegDecoder {
  private codec: Promise<Codec> | undefined;
  private complaint = '';

  /** @throws through `fail` for anything that is no JPEG of grey or colour pixels */
  async decode(bytes: Uint8Array, fail: Fail): Promise<Picture> {
    const { width, height, channels } = readFrame(bytes, fail);
    this.codec ??= this.load();
    const codec = await this.codec;
    this.complaint = '';
    let decoded: CodecPicture | null;
    try {
      decoded = codec.decode(bytes, false);
    } catch (error) {
      this.codec = undefined;
      throw fail(
        'malformed',
        `a JPEG that cannot be decoded (${this.complaint || 'no reason given'})`,
        error,
      );
    }
    // The decoder fills what is missing with grey.
    if (/premature end/i.test(this.complaint)) throw fail('malformed', 'a JPEG that is cut off');
    if (decoded?.width !== width || decoded.height !== height)
      throw fail('malformed', 'a JPEG whose header and pixels differ');
    return { width, height, channels, values: withoutAlpha(decoded.data, width * height, channels) };
  }

  private async load(): Promise<Codec> {
    const wasmBinary = await readFile(bundledFile('jpeg.wasm'));
    // Emscripten takes these options, but the package's types do not list them, and describe a browser.
    const { default: create } = (await import('@jsquash/jpeg/codec/dec/mozjpeg_dec.js')) as unknown as {
      readonly default: (options: object) => Promise<Codec>;
    };
    const options = {
      noInitialRun: true,
      wasmBinary,
      printErr: (line: string) => {
        this.complaint = line;
      },
    };
    return create(options);
  }
}

function withoutAlpha(rgba: Uint8ClampedArray, pixels: number, channels: 1 | 3): Uint8Array {
  const values = new Uint8Array(pixels * channels);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < channels; c++) values[i * channels + c] = rgba[4 * i + c] ?? 0;
  }
  return values;
}

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
}

/** Size and channels from the frame header, before anything is decoded. */
function readFrame(bytes: Uint8Array, fail: Fail): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 2; ;) {
    while (at < bytes.length && bytes[at] !== 0xff) at++;
    while (bytes[at] === 0xff) at++;
    const marker = bytes[at];
    if (marker === undefined || at + 9 > bytes.length) throw fail('malformed', 'a JPEG that is cut off');
    at++;
    // Markers without a length: stuffing, restarts and the start itself.
    if (marker <= 1 || (marker >= 0xd0 && marker <= 0xd8)) continue;
    if (marker === 0xda || marker === 0xd9) throw fail('malformed', 'a JPEG without a frame header');
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (!isFrame) {
      at += view.getUint16(at);
      continue;
    }
    requireFewScans(bytes, fail);
    const [precision, height, width] = [
      view.getUint8(at + 2),
      view.getUint16(at + 3),
      view.getUint16(at + 5),
    ];
    const channels = bytes[at + 7] ?? 0;
    requireReasonableSize(width, height, fail);
    if (precision !== 8 || !CHANNELS.has(channels)) {
      const what = `${channels} channels of ${precision} bits`;
      throw fail('unsupported', `a JPEG of ${what}: only 8-bit grey and colour ones are read`);
    }
    return { width, height, channels: channels === 1 ? 1 : 3 };
  }
}

function requireFewScans(bytes: Uint8Array, fail: Fail): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const mark = Buffer.from([0xff, 0xda]);
  let scans = 0;
  for (let at = buffer.indexOf(mark); at >= 0; at = buffer.indexOf(mark, at + 2)) scans++;
  if (scans > MAX_SCANS) throw fail('unsupported', `a JPEG of ${scans} scans: at most ${MAX_SCANS} are read`);
}
