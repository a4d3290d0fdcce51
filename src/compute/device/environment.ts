/** Where devices' libraries are, as a process is told through its environment. */
import path from 'node:path';
import type { DeviceSettings } from './device';

/** Where libraries of graphics cards are looked for: RANKSCOPE_TENSORFLOW and RANKSCOPE_PACKAGES. */
export function deviceSettingsOf(environment: NodeJS.ProcessEnv): DeviceSettings {
  const { RANKSCOPE_TENSORFLOW: tensorflow, RANKSCOPE_PACKAGES: folders } = environment;
  return {
    ...(tensorflow && { tensorflow }),
    ...(folders && { folders: folders.split(path.delimiter).filter((folder) => folder !== '') }),
  };
}

/** The same, as an environment says it. */
export function environmentOf({ tensorflow, folders = [] }: DeviceSettings): Record<string, string> {
  return {
    ...(tensorflow !== undefined && { RANKSCOPE_TENSORFLOW: tensorflow }),
    ...(folders.length > 0 && { RANKSCOPE_PACKAGES: folders.join(path.delimiter) }),
  };
}
