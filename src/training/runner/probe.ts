import { spawnSync } from 'node:child_process';
import type { DeviceSettings } from '../../compute/device/device';
import { deviceSettingsOf } from '../../compute/device/environment';
import { openLibrary } from './tensors';

/** Opening takes seconds; a driver that hangs takes for ever. */
const LIMIT_MS = 60_000;

/** Side of the product that is tried. */
const SIDE = 64;

/** Exit code of a library that works, on a processor that plays a graphics card. */
const SOFTWARE = 3;

/**
 * Tries a library in a process of its own first: a driver that crashes or hangs then takes no run with it.
 *
 * @param wasAsked by its name: then it may be a processor that plays a graphics card
 * @returns why it cannot be used, in one line; undefined when it can
 */
export function whyUnusable(name: string, wasAsked: boolean): string | undefined {
  const [, program = ''] = process.argv;
  const { status, stdout, stderr, error } = spawnSync(
    process.execPath,
    [...process.execArgv, program, '--probe', name],
    { timeout: LIMIT_MS, killSignal: 'SIGKILL', encoding: 'utf8', windowsHide: true },
  );
  if (status === 0 || (status === SOFTWARE && wasAsked)) return undefined;
  if (status === SOFTWARE) return 'a processor plays the graphics card';
  if (error !== undefined && 'code' in error && error.code === 'ETIMEDOUT')
    return `it did not open within ${LIMIT_MS / 1000} s`;
  const [line = ''] = `${stdout}${stderr}`.split('\n').filter((one) => one.trim() !== '');
  return line === '' ? 'its process crashed' : line;
}

/** Opens a library and multiplies; says why on stdout where it fails. @returns exit code */
export async function probeLibrary(name: string): Promise<number> {
  try {
    const settings: DeviceSettings = deviceSettingsOf(process.env);
    const { tf, isSoftware } = await openLibrary(name, settings);
    const ones = tf.ones([SIDE, SIDE]);
    const [first] = await tf.matMul(ones, ones).data();
    if (first === SIDE) return isSoftware ? SOFTWARE : 0;
    process.stdout.write(`it computes ${first ?? 'nothing'} for ${SIDE}\n`);
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  }
  return 1;
}
