/** Running scripts by a real Python, where there is one. */
import { spawnSync } from 'node:child_process';

export interface Output {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script, given on stdin so that it may be long. @param argv what it finds in sys.argv[1:] */
export function runPython(program: string, script: string, argv: readonly string[] = []): Output {
  const env = {
    ...process.env,
    OPENBLAS_NUM_THREADS: '1',
    OMP_NUM_THREADS: '2',
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONIOENCODING: 'utf-8',
  };
  return spawnSync(program, ['-', ...argv], { input: script, encoding: 'utf8', env, maxBuffer: 1 << 26 });
}

/**
 * The first Python that has these modules: the system's often has what the one on the path lacks.
 *
 * @returns its program, or undefined where there is none; an error when one is required (RANKSCOPE_REQUIRE_PYTHON=1)
 */
export function pythonWith(modules: string): string | undefined {
  const { RANKSCOPE_PYTHON: own, RANKSCOPE_REQUIRE_PYTHON: required } = process.env;
  const candidates = [...(own === undefined ? [] : [own]), 'python3', '/usr/bin/python3'];
  const found = candidates.find((program) => runPython(program, `import ${modules}`).status === 0);
  if (found === undefined && required === '1') throw new Error(`no Python with ${modules} here`);
  return found;
}
