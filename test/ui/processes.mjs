import { readdirSync, readFileSync } from 'node:fs';

function readProcess(pid) {
  try {
    // "pid (name) state parent …": the name may hold spaces and parentheses, so the fields start after the last one.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
    return { pid, state, parent: Number(parent), command };
  } catch {
    // It ended between the listing and the reading.
    return undefined;
  }
}

/** Living processes that descend from `ancestor`, as { pid, parent, command }. Linux only: read from /proc. */
export function descendants(ancestor) {
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((found) => found !== undefined && found.state !== 'Z');
  const family = new Set([ancestor]);
  // A child may have a smaller id than its parent: go on until a round adds none.
  for (let before = 0; before < family.size;) {
    before = family.size;
    for (const { pid, parent } of processes) if (family.has(parent)) family.add(pid);
  }
  return processes.filter(({ pid }) => pid !== ancestor && family.has(pid));
}

/** The engine processes that extension hosts of this server have started. */
export function engineProcesses(serverPid) {
  return descendants(serverPid).filter(({ command }) => /[\\/]engine\.js(\s|$)/.test(command));
}
