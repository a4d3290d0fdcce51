/// <reference types="@webgpu/types" />
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { DeviceSettings } from '../device/device';
import { firstLine } from '../device/firstLine';
import { pollGently } from './polling';

/** What Dawn's addon exports. */
interface Dawn {
  create(options: readonly string[]): GPU;
  /** GPUBuffer, GPUBufferUsage … as a browser has them on `globalThis`. */
  readonly globals: Readonly<Record<string, unknown>>;
}

/** Never collected: Dawn's adapters and devices die with the object that they came from. */
let instance: GPU | undefined;

/** Folder of the package's addons for this machine: one for both processors of a Mac. */
function platformFolder(): string {
  return `${process.platform}-${process.platform === 'darwin' ? 'universal' : process.arch}`;
}

/** What an installation for one platform carries beside its bundles; tests are bundled two folders further down. */
function bundledAddons(): string[] {
  const names = [...new Set([`${process.platform}-${process.arch}`, platformFolder()])];
  return [__dirname, path.join(__dirname, '..', '..')].flatMap((folder) =>
    names.map((name) => path.join(folder, 'webgpu', `${name}.dawn.node`)),
  );
}

/** The addons of the npm package `webgpu`, whose own entry is an ES module that loads no more than its addon. */
function packagedAddons(folders: readonly string[]): string[] {
  const found: string[] = [];
  for (const from of [__filename, ...folders.map((folder) => path.join(folder, 'package.json'))]) {
    try {
      const entry = createRequire(from).resolve('webgpu');
      found.push(path.join(path.dirname(entry), 'dist', platformFolder(), 'dawn.node'));
    } catch {
      // Not installed there.
    }
  }
  return found;
}

/**
 * Dawn, WebGPU's implementation in Chromium, in this process. Its names become global, as TensorFlow.js looks for them.
 *
 * @throws Error in one line when its addon is missing or cannot be loaded
 */
function loadDawn({ folders = [] }: DeviceSettings): GPU {
  if (instance !== undefined) return instance;
  const addon = [...bundledAddons(), ...packagedAddons(folders)].find((file) => existsSync(file));
  if (addon === undefined)
    throw new Error(
      `WebGPU needs Dawn, which is not installed for ${process.platform}-${process.arch}: run "npm install webgpu", ` +
        'or install the extension made for this platform',
    );
  let dawn: Dawn;
  try {
    dawn = createRequire(__filename)(addon) as Dawn;
  } catch (error) {
    throw new Error(`WebGPU cannot load Dawn: ${firstLine(error)}`, { cause: error });
  }
  Object.assign(globalThis, dawn.globals);
  instance = dawn.create([]);
  pollGently();
  const { navigator } = globalThis as { navigator?: object };
  // Node has a navigator of its own from version 21 on.
  if (navigator === undefined)
    Object.defineProperty(globalThis, 'navigator', { value: { gpu: instance }, configurable: true });
  else Object.defineProperty(navigator, 'gpu', { value: instance, configurable: true });
  return instance;
}

/** What to install where there is no adapter. */
const DRIVERS: Partial<Record<NodeJS.Platform, string>> = {
  linux:
    "install the graphics card's Vulkan driver and loader (Debian and Ubuntu: libvulkan1 with mesa-vulkan-drivers or the " +
    'NVIDIA driver), and see that "vulkaninfo" finds it',
  win32: "install the graphics card's current driver, with Direct3D 12",
  darwin: 'it needs a Mac with Metal',
};

/** The fastest adapter. @throws Error in one line when there is none */
export async function openAdapter(settings: DeviceSettings): Promise<GPUAdapter> {
  const gpu = loadDawn(settings);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter !== null) return adapter;
  const advice = DRIVERS[process.platform] ?? 'its driver is missing';
  throw new Error(`WebGPU finds no graphics card: ${advice}`);
}

/** Processors that play a graphics card. */
const SOFTWARE = /swiftshader|lavapipe|llvmpipe|softpipe|basic render|\bWARP\b/i;

export function isSoftwareAdapter({
  vendor,
  architecture,
  device,
  description,
  ...info
}: GPUAdapterInfo): boolean {
  return info.isFallbackAdapter || SOFTWARE.test([vendor, architecture, device, description].join(' '));
}

/** Words that names of graphics cards write in capitals, beside those with digits. */
const CAPITALS = /^(nvidia|amd|rtx|gtx|uhd|rx|pro)$|\d/;

/** The adapter for people. WebGPU has names as identifiers: `nvidia-geforce-rtx-4090`; or none but its driver's. */
export function adapterName({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  const isNumber = /^0x[\da-f]+$/i;
  const identifier = [device, `${vendor}-${architecture}`].find(
    (id) => /[a-z]/i.test(id) && !isNumber.test(id),
  );
  if (identifier === undefined) return description.trim() === '' ? 'unnamed adapter' : description.trim();
  const words = identifier.split(/[-\s]+/).filter((word) => word !== '');
  return words
    .map((word) =>
      CAPITALS.test(word) ? word.toUpperCase() : word.slice(0, 1).toUpperCase() + word.slice(1),
    )
    .join(' ');
}

/** The system's interface below Dawn. */
export function graphicsInterface(): string {
  return process.platform === 'win32' ? 'Direct3D 12' : process.platform === 'darwin' ? 'Metal' : 'Vulkan';
}
