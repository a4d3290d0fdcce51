/** Which Python runs the user's model. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { printable } from '../../checkpoint/errors';

/** The oldest Python that `rankscope_host.py` runs on. */
const MIN_VERSION = '3.8';
/** A first start reads Python from a cold disk, or from a network. */
const START_MILLISECONDS = 60_000;

/** Says whether the version will do, and whether torch is installed; importing torch would take seconds. */
const QUESTION = `
import sys
from importlib.util import find_spec
print(int(sys.version_info >= (${MIN_VERSION.replace('.', ', ')})), int(find_spec("torch") is not None))`;

interface Interpreter {
  readonly isRecent: boolean;
  readonly hasTorch: boolean;
}

/**
 * The interpreter to run: the first candidate that is given; without any, the first on the path that has torch, or else
 * the first that starts. What was chosen is taken as it is, and its absence is an error: another one would be a surprise.
 *
 * @param candidates commands or paths, the most particular first (the recipe's, the setting's …)
 * @throws {Error} with one line that says what to choose
 */
export async function findPython(candidates: readonly (string | undefined)[]): Promise<string> {
  const chosen = candidates.find((candidate) => candidate !== undefined && candidate !== '');
  if (chosen !== undefined) {
    const found = await ask(chosen);
    if (found instanceof Error) {
      throw new Error(
        `the Python interpreter ${printable(chosen)} does not start (${reason(found)}): choose another, or correct the recipe's network.python`,
        { cause: found },
      );
    }
    return recent(chosen, found);
  }
  const names = process.platform === 'win32' ? ['python', 'python3', 'py'] : ['python3', 'python'];
  let first: string | undefined;
  for (const name of names) {
    const found = await ask(name);
    if (found instanceof Error || !found.isRecent) continue;
    if (found.hasTorch) return name;
    first ??= name;
  }
  if (first !== undefined) return first;
  throw new Error(
    `no Python ${MIN_VERSION} or newer was found (tried ${names.join(', ')}): install one, or name it in the recipe's network.python`,
  );
}

function recent(python: string, { isRecent }: Interpreter): string {
  if (isRecent) return python;
  throw new Error(`${printable(python)} is older than Python ${MIN_VERSION}: choose a newer interpreter`);
}

async function ask(python: string): Promise<Interpreter | Error> {
  try {
    const { stdout } = await promisify(execFile)(python, ['-c', QUESTION], {
      timeout: START_MILLISECONDS,
      windowsHide: true,
    });
    const answer = /^([01]) ([01])\s*$/.exec(stdout);
    if (answer === null) return new Error('it does not answer like Python');
    return { isRecent: answer[1] === '1', hasTorch: answer[2] === '1' };
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function reason(error: Error): string {
  // Node's errors of starting a process carry its code: ENOENT, EACCES …
  const { code } = error as { code?: unknown };
  if (code === 'ENOENT') return 'there is no such file';
  return typeof code === 'string' ? code : printable(error.message.split('\n', 1)[0] ?? '');
}
