/** From a sample as the file keeps it to what the network takes: order of the values, then scale and normalisation. */
import type { SampleLayout } from '../recipe';
import type { NetworkInput } from './dataset';

export interface TransformRequest {
  /** Of one sample, in the file. */
  readonly shape: readonly number[];
  /** What the recipe or the format says of the file's axes; absent: by the shape. */
  readonly layout: SampleLayout | undefined;
  readonly networkLayout: SampleLayout | undefined;
  readonly network: NetworkInput | undefined;
  readonly scale: number;
  readonly mean: number | readonly number[];
  readonly std: number | readonly number[];
}

export interface SampleTransform {
  /** Of one sample, as the network takes it. */
  readonly shape: readonly number[];
  /** Samples one after the other; the array may be changed and returned. */
  apply(raw: Float32Array): Float32Array;
}

/** More channels than a picture has: a first or last axis up to this is taken for the channels. */
const MAX_PICTURE_CHANNELS = 4;

interface Image {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Where the value of a channel at a place lies in the file's sample. */
  readonly indexOf: (channel: number, y: number, x: number) => number;
}

/** Order of the output's values, and which of them share a mean. */
interface Arrangement {
  readonly shape: readonly number[];
  /** Index in the file's sample by index in the output; absent: the same. */
  readonly order?: Int32Array;
  /** Channel by index in the output; absent: values have no channels. */
  readonly channelOf?: (index: number) => number;
  readonly channels: number;
}

/**
 * @throws {Error} whose message completes a sentence about the data, when it does not fit the network
 */
export function sampleTransform(request: TransformRequest): SampleTransform {
  const arrangement = arrange(request);
  requireFit(arrangement.shape, request.network);
  const size = count(arrangement.shape);
  const [factor, shift] = coefficients(request, arrangement, size);
  const { order, shape } = arrangement;
  return {
    shape,
    apply: (raw) => {
      const result = order === undefined ? raw : new Float32Array(raw.length);
      for (let start = 0; start < raw.length; start += size) {
        for (let i = 0; i < size; i++) {
          const value = raw[start + (order?.[i] ?? i)] ?? 0;
          result[start + i] = value * (factor[i] ?? 1) + (shift[i] ?? 0);
        }
      }
      return result;
    },
  };
}

function arrange({ shape, layout, networkLayout, network }: TransformRequest): Arrangement {
  const fileLayout = layout ?? layoutByShape(shape);
  const wanted = networkLayout ?? wantedLayout(network);
  if (wanted === undefined) return asItIs(shape, fileLayout);
  const isAsWanted = networkLayout === undefined && network !== undefined && fits(shape, network.shape);
  const isTransposed =
    network !== undefined && shape.length === 3 && fileLayout !== undefined && fileLayout !== network.layout;
  if (isAsWanted && !isTransposed) return asItIs(shape, shape.length === 3 ? network.layout : undefined);
  const image = imageOf(shape, fileLayout, network);
  if (image === undefined) return reshaped(shape, fileLayout, network);
  return inLayout(image, wanted, network);
}

/** Values in the file's own order, perhaps in other axes: flat rows become what the network takes. */
function reshaped(
  shape: readonly number[],
  layout: SampleLayout | undefined,
  network: NetworkInput | undefined,
): Arrangement {
  const target = network === undefined ? undefined : resolved(network.shape, count(shape));
  const isRow = layout === 'flat' || target?.length === 1;
  if (!isRow || target === undefined) return asItIs(shape, undefined);
  return asItIs(target, target.length === 3 ? network?.layout : undefined);
}

function asItIs(shape: readonly number[], layout: SampleLayout | undefined): Arrangement {
  const [first = 1, , last = 1] = shape;
  if (layout === 'chw') {
    const plane = count(shape) / first;
    return { shape, channels: first, channelOf: (i) => Math.floor(i / plane) };
  }
  if (layout === 'hwc') return { shape, channels: last, channelOf: (i) => i % last };
  return { shape, channels: count(shape) };
}

function inLayout(image: Image, layout: SampleLayout, network: NetworkInput | undefined): Arrangement {
  const { channels, height, width, indexOf } = image;
  const order = new Int32Array(channels * height * width);
  // Flattened pictures keep the order of the network's own axes.
  const isLast = layout === 'hwc' || (layout === 'flat' && network?.layout === 'hwc');
  let at = 0;
  const visit = (channel: number, y: number, x: number): void => {
    order[at++] = indexOf(channel, y, x);
  };
  if (isLast) {
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) for (let c = 0; c < channels; c++) visit(c, y, x);
  } else {
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) visit(c, y, x);
  }
  const plane = height * width;
  return {
    shape: shapeIn(layout, image, network),
    ...(order.some((from, to) => from !== to) && { order }),
    channels,
    channelOf: isLast ? (i) => i % channels : (i) => Math.floor(i / plane),
  };
}

function shapeIn(
  layout: SampleLayout,
  { channels, height, width }: Image,
  network: NetworkInput | undefined,
): readonly number[] {
  if (layout === 'flat') return [channels * height * width];
  // A network of two axes takes grey pictures without a channel.
  if (channels === 1 && network?.shape.length === 2) return [height, width];
  return layout === 'hwc' ? [height, width, channels] : [channels, height, width];
}

/** The sample as a picture; undefined when its axes are no picture's. */
function imageOf(
  shape: readonly number[],
  layout: SampleLayout | undefined,
  network: NetworkInput | undefined,
): Image | undefined {
  const [a = 0, b = 0, c = 0] = shape;
  if (shape.length === 2 && layout !== 'flat')
    return { channels: 1, height: a, width: b, indexOf: (_, y, x) => y * b + x };
  if (shape.length === 3 && layout === 'chw')
    return { channels: a, height: b, width: c, indexOf: (channel, y, x) => (channel * b + y) * c + x };
  if (shape.length === 3 && layout === 'hwc')
    return { channels: c, height: a, width: b, indexOf: (channel, y, x) => (y * b + x) * c + channel };
  if (shape.length === 1 && (layout === 'chw' || layout === 'hwc')) {
    // A row said to be a picture: its sides are the network's.
    const sides = network?.shape.length === 3 ? resolved(network.shape, count(shape)) : undefined;
    if (sides === undefined || network === undefined) return undefined;
    const [channels = 0, height = 0, width = 0] =
      network.layout === 'chw' ? sides : [sides[2], sides[0], sides[1]];
    return imageOf(layout === 'chw' ? [channels, height, width] : [height, width, channels], layout, network);
  }
  return undefined;
}

function layoutByShape(shape: readonly number[]): SampleLayout | undefined {
  const [first = 0, , last = 0] = shape;
  if (shape.length === 1) return 'flat';
  if (shape.length !== 3) return undefined;
  if (first <= MAX_PICTURE_CHANNELS && last > MAX_PICTURE_CHANNELS) return 'chw';
  if (last <= MAX_PICTURE_CHANNELS && first > MAX_PICTURE_CHANNELS) return 'hwc';
  return undefined;
}

function wantedLayout(network: NetworkInput | undefined): SampleLayout | undefined {
  if (network === undefined) return undefined;
  return network.shape.length === 1 ? 'flat' : network.layout;
}

/** Factor and shift of every value of a sample: (x·scale − mean) ÷ std. */
function coefficients(
  { scale, mean, std }: TransformRequest,
  { channels, channelOf }: Arrangement,
  size: number,
): [Float64Array, Float64Array] {
  const at = (numbers: number | readonly number[], name: string): ((index: number) => number) => {
    if (typeof numbers === 'number') return () => numbers;
    const [only = 0] = numbers;
    if (numbers.length === 1) return () => only;
    if (numbers.length !== channels) {
      const what = channelOf === undefined ? 'values' : channels === 1 ? 'channel' : 'channels';
      throw new Error(`${name} has ${numbers.length} numbers, but a sample has ${channels} ${what}`);
    }
    return (index) => numbers[channelOf === undefined ? index : channelOf(index)] ?? 0;
  };
  const [meanAt, stdAt] = [at(mean, 'mean'), at(std, 'std')];
  return [
    Float64Array.from({ length: size }, (_, i) => scale / stdAt(i)),
    Float64Array.from({ length: size }, (_, i) => -meanAt(i) / stdAt(i)),
  ];
}

function requireFit(shape: readonly number[], network: NetworkInput | undefined): void {
  if (network === undefined || fits(shape, network.shape)) return;
  const wanted = network.shape.map((size) => size ?? 'any');
  throw new Error(
    `its samples are ${textOf(shape)}, but the network takes ${textOf(wanted)}: see layout, networkLayout, size and colours in the recipe`,
  );
}

function textOf(sizes: readonly (number | string)[]): string {
  return sizes.length === 1 ? `${sizes[0] ?? 0} numbers` : sizes.join(' × ');
}

function fits(shape: readonly number[], wanted: NetworkInput['shape']): boolean {
  return (
    shape.length === wanted.length &&
    shape.every((size, axis) => wanted[axis] === undefined || wanted[axis] === size)
  );
}

/** The network's sizes for so many values, when at most one of them is open. */
function resolved(wanted: NetworkInput['shape'], values: number): readonly number[] | undefined {
  const known = wanted.reduce<number>((product, size) => product * (size ?? 1), 1);
  const open = wanted.filter((size) => size === undefined).length;
  if (open > 1 || known === 0 || values % known !== 0 || (open === 0 && known !== values)) return undefined;
  return wanted.map((size) => size ?? values / known);
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
