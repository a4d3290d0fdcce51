/**
 * When the system started a process. Process ids are used again, so an id alone says nothing a day later; id and start
 * together name one process for ever.
 */
import { readFileSync } from 'node:fs';
import { runCommand } from './command';

const MILLISECONDS = 10_000;
/** Processes asked for at once where a program is asked: command lines are bounded. */
const AT_ONCE = 200;

/**
 * @returns by process id; those that do not run (any more) are missing, and so are those that have ended but have not been
 *   collected by their parents. Undefined where the system does not say. The text is for comparing alone.
 */
export async function processTimes(
  pids: readonly number[],
): Promise<ReadonlyMap<number, string> | undefined> {
  const times = new Map<number, string>();
  try {
    for (let i = 0; i < pids.length; i += AT_ONCE)
      for (const [pid, time] of await timesOf(pids.slice(i, i + AT_ONCE))) times.set(pid, time);
    return times;
  } catch {
    return undefined;
  }
}

/** Of one process; undefined when it does not run, or when the system does not say. */
export async function processTime(pid: number): Promise<string | undefined> {
  return (await processTimes([pid]))?.get(pid);
}

async function timesOf(pids: readonly number[]): Promise<readonly (readonly [number, string])[]> {
  if (process.platform === 'linux') return linuxTimes(pids);
  return process.platform === 'win32' ? await windowsTimes(pids) : await posixTimes(pids);
}

/** Clock ticks after a boot that has a name: no clock that is put right changes them. */
function linuxTimes(pids: readonly number[]): readonly (readonly [number, string])[] {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return pids.flatMap((pid) => {
    const facts = linuxProcess(pid);
    return facts === undefined ? [] : [[pid, `${boot}+${facts.ticks}`] as const];
  });
}

/** proc(5), /proc/<pid>/stat. Undefined when it has ended. */
export function linuxProcess(pid: number): { readonly parent: number; readonly ticks: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name before it is the program's own, and may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // The third, fourth and 22nd: state, parent, start.
    const [state = 'X', parent = ''] = fields;
    if (state === 'Z' || state === 'X') return undefined;
    return { parent: Number(parent), ticks: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

async function posixTimes(pids: readonly number[]): Promise<readonly (readonly [number, string])[]> {
  const answer = await runCommand(['ps', '-o', 'pid=,stat=,lstart=', '-p', pids.join(',')], {
    milliseconds: MILLISECONDS,
    // The time is told in words, and in the zone of whoever asks.
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
  });
  return answer.stdout.split('\n').flatMap((line) => {
    const [, pid, state = '', time] = /^\s*(\d+)\s+(\S+)\s+(\S.*?)\s*$/.exec(line) ?? [];
    return time === undefined || state.startsWith('Z') ? [] : [[Number(pid), time] as const];
  });
}

async function windowsTimes(pids: readonly number[]): Promise<readonly (readonly [number, string])[]> {
  const question =
    `Get-Process -Id ${pids.join(',')} -ErrorAction SilentlyContinue | ` +
    "ForEach-Object { '{0} {1}' -f $_.Id, $_.StartTime.ToFileTimeUtc() }";
  const answer = await runCommand(['powershell.exe', '-NoProfile', '-NonInteractive', '-Command', question], {
    milliseconds: MILLISECONDS,
  });
  return answer.stdout.split('\n').flatMap((line) => {
    const [, pid, time] = /^(\d+) (\d+)\s*$/.exec(line) ?? [];
    return time === undefined ? [] : [[Number(pid), time] as const];
  });
}
