/** A graphics card played by the processor, for tests in processes of their own: its driver must be named at the start. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { ROOT } from '../reference/references';

const isRequired = process.env.RANKSCOPE_REQUIRE_GPU === '1';

export interface SoftwareGpu {
  readonly name: string;
  /** Variables that a process must be started with. */
  readonly env: Readonly<Record<string, string>>;
}

/** The fastest one of this machine, or why there is none: an error where one is required. */
export function softwareGpu(): SoftwareGpu | string {
  const program = path.join(ROOT, 'scripts/software-gpu.mjs');
  // Nobody who only runs the tests asked for 21 MB.
  const flags = ['--json', ...(isRequired ? [] : ['--no-download'])];
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...flags], { encoding: 'utf8' });
  // What the program prints is of this shape.
  if (status === 0) return JSON.parse(stdout) as SoftwareGpu;
  const why = /Error: (.*)/.exec(stderr)?.[1] ?? stderr.trim();
  if (isRequired) throw new Error(why);
  return why;
}
