/** Ends processes that other processes started. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { runCommand } from './command';
import { linuxProcess } from './processTimes';

const MILLISECONDS = 10_000;

/** Asks a process to end. Windows knows no such wish: there, the run's `stop` file has to do. */
export function askToEnd(pid: number): void {
  if (process.platform === 'win32') return;
  quietly(() => process.kill(pid, 'SIGTERM'));
}

/** Kills a process, its group where it leads one, and all that it started, in whatever groups. */
export async function killTree(pid: number): Promise<void> {
  if (process.platform === 'win32') {
    await promisify(execFile)('taskkill', ['/pid', String(pid), '/T', '/F'], { windowsHide: true }).catch(
      () => undefined,
    );
    return;
  }
  const tree = descendantsOf(pid, await parents());
  for (const each of [pid, ...tree]) {
    quietly(() => process.kill(-each, 'SIGKILL'));
    quietly(() => process.kill(each, 'SIGKILL'));
  }
}

function quietly(act: () => void): void {
  try {
    act();
  } catch {
    // It has ended, or leads no group.
  }
}

/** Parents by process id. */
async function parents(): Promise<ReadonlyMap<number, number>> {
  if (process.platform === 'linux') {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return new Map(
      pids.flatMap((pid) => {
        const facts = linuxProcess(Number(pid));
        return facts === undefined ? [] : [[Number(pid), facts.parent] as const];
      }),
    );
  }
  const { stdout } = await runCommand(['ps', '-A', '-o', 'pid=,ppid='], { milliseconds: MILLISECONDS });
  return new Map(
    stdout.split('\n').flatMap((line) => {
      const [, pid, parent] = /^\s*(\d+)\s+(\d+)\s*$/.exec(line) ?? [];
      return parent === undefined ? [] : [[Number(pid), Number(parent)] as const];
    }),
  );
}

function descendantsOf(pid: number, parentOf: ReadonlyMap<number, number>): readonly number[] {
  const found = new Set([pid]);
  // Until nothing is added: a process may come before its parent in the list.
  for (let size = 0; size < found.size;) {
    size = found.size;
    for (const [child, parent] of parentOf) if (found.has(parent)) found.add(child);
  }
  found.delete(pid);
  return [...found];
}
