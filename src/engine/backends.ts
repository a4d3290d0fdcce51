/** Backends as jobs use them: settings of this machine, and what is remembered of its devices. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import {
  openBackend as open,
  reportBackends as report,
  type BackendReport,
  type ChosenBackend,
  type DeviceSettings,
} from '../compute';
import { deviceSettingsOf } from '../compute/device/environment';
import { cacheDirectory } from './cache';
import { TOOL } from './version';

export interface BackendWish {
  /** A backend's name; undefined: RANKSCOPE_BACKEND, or the fastest there is. */
  readonly name?: string | undefined;
  readonly threads?: number | undefined;
  readonly signal: AbortSignal;
  /** In one line: what was asked for cannot be used, or stopped working. */
  readonly onNotice: (notice: string) => void;
}

/**
 * Opens the backend that was asked for, or the fastest there is.
 *
 * @throws Error in one line for a name that is not known
 * @throws the signal's reason
 */
export function openBackend({ name, ...wish }: BackendWish): Promise<ChosenBackend> {
  const { RANKSCOPE_BACKEND: byDefault } = process.env;
  const wanted = name ?? (byDefault === '' ? undefined : byDefault);
  return open({ ...wish, name: wanted, ...ofThisMachine() });
}

/** What is known of every backend here. @param again look anew instead of believing what was found before */
export function reportBackends(signal: AbortSignal, again: boolean): Promise<readonly BackendReport[]> {
  return report({ signal, again, ...ofThisMachine() });
}

/** What is remembered of devices is looked at anew: something was installed. */
export async function forgetDevices(): Promise<void> {
  await rm(devicesFolder(), { recursive: true, force: true });
}

function devicesFolder(): string {
  return path.join(cacheDirectory(), 'devices');
}

function ofThisMachine(): { settings: DeviceSettings; folder: string; version: string } {
  return {
    settings: deviceSettings(),
    folder: devicesFolder(),
    version: TOOL.version,
  };
}

let told: DeviceSettings | undefined;

/** What the extension says of where devices' libraries are; it goes before the environment. */
export function useDeviceSettings(settings: DeviceSettings): void {
  told = settings;
}

/**
 * Where TensorFlow is looked for: RANKSCOPE_TENSORFLOW names the package's folder, RANKSCOPE_PACKAGES folders that have it
 * among their packages.
 */
export function deviceSettings(): DeviceSettings {
  return told ?? deviceSettingsOf(process.env);
}
