import type { Device, DeviceKind, DeviceSettings, OpenDevice } from './device';

/** Each loads its own library only when it is asked for: they are large, and may be missing. */
const DEVICES: Readonly<Record<DeviceKind, () => Promise<OpenDevice>>> = {
  tensorflow: async () => (await import('../tensorflow/device')).openTensorflow,
  webgpu: async () => (await import('../webgpu/device')).openWebgpu,
};

/** @throws Error in one line that says what is missing */
export async function openDevice(kind: DeviceKind, settings: DeviceSettings): Promise<Device> {
  const open = await DEVICES[kind]();
  return open(settings);
}
