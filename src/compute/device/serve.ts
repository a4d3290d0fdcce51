/** The process that holds a device: serves calls over its channel, and ends with whoever started it. */
import { decodeElements } from '../../checkpoint/elements';
import type { MatrixView } from '../../checkpoint/matrixView';
import { FileDescriptors, readTensorBytesSync } from '../../checkpoint/tensorData';
import type { SpectrumRequest } from '../backend';
import type { Device, DeviceKind, DeviceMatrix, DeviceSettings, DeviceSpectrum } from './device';
import type { DeviceCall, DeviceCalls, FromDevice, ToDevice } from './protocol';

type Call = Extract<ToDevice, { kind: 'call' }>;

let opening: Promise<Device> | undefined;
const running = new Map<number, AbortController>();

function tell(message: FromDevice): void {
  process.send?.(message);
}

function lineOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, ' ').trim();
}

type Open = (kind: DeviceKind, settings: DeviceSettings) => Promise<Device>;

/** Serves the process that started this one. */
export function serveDevice(open: Open): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', (message: ToDevice) => {
    switch (message.kind) {
      case 'start':
        opening = open(message.start.device, message.start.settings);
        void tellOpened(opening);
        return;
      case 'cancel':
        running.get(message.id)?.abort(new Error('cancelled'));
        return;
      case 'call':
        void serve(message);
    }
  });
}

async function tellOpened(opening: Promise<Device>): Promise<void> {
  try {
    const { facts, takesFloat64 } = await opening;
    tell({ kind: 'open', facts, takesFloat64 });
  } catch (error) {
    tell({ kind: 'closed', message: lineOf(error) });
  }
}

async function serve(message: Call): Promise<void> {
  const { id } = message;
  const controller = new AbortController();
  running.set(id, controller);
  try {
    if (opening === undefined) throw new Error('no device is open');
    const onFraction = (fraction: number): void => {
      tell({ kind: 'fraction', id, fraction });
    };
    const result = await answer(await opening, message, controller.signal, onFraction);
    tell({ kind: 'result', id, result });
  } catch (error) {
    tell({ kind: 'failure', id, message: lineOf(error) });
  } finally {
    running.delete(id);
  }
}

function answer(
  device: Device,
  message: Call,
  signal: AbortSignal,
  onFraction: (fraction: number) => void,
): Promise<DeviceCalls[DeviceCall]['result']> {
  switch (message.call) {
    case 'spectra':
      return spectra(device, message.argument, signal);
    case 'spectrum':
      return device.spectrum(message.argument, signal);
    case 'product32':
      return device.product32(message.argument.A, message.argument.B, signal);
    case 'descend':
      return device.descend(message.argument, signal, onFraction);
  }
}

/** Reads the tensor here, so that its elements cross no channel. */
async function spectra(
  device: Device,
  { tensor, matrices }: SpectrumRequest,
  signal: AbortSignal,
): Promise<DeviceSpectrum[]> {
  const files = new FileDescriptors();
  try {
    const values = decodeElements(readTensorBytesSync(tensor, files), tensor.dtype);
    const found: DeviceSpectrum[] = [];
    for (const view of matrices) {
      signal.throwIfAborted();
      const spectrum = await device.spectrum(matrixOf(values, view), signal);
      found.push(spectrum);
      // One that is not for the device sends the whole tensor elsewhere.
      if (spectrum.kind === 'nonFinite' || spectrum.kind === 'refused') return [spectrum];
    }
    return found;
  } finally {
    files.closeAll();
  }
}

function matrixOf(
  values: Float32Array | Float64Array,
  { offset, rows, columns, rowStride }: MatrixView,
): DeviceMatrix {
  if (rowStride === columns || rows === 1)
    return { rows, columns, values: values.subarray(offset, offset + rows * columns) };
  const own = values.slice(0, rows * columns);
  for (let i = 0; i < rows; i++) {
    const from = offset + i * rowStride;
    own.set(values.subarray(from, from + columns), i * columns);
  }
  return { rows, columns, values: own };
}
