/** Runs a whole process and measures it: wall seconds, CPU seconds and peak resident memory of it and its children. */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { clearInterval, setInterval } from 'node:timers';

/** Peak memory is kept by the kernel, so a coarse poll only misses what happens in the last moment. */
const POLL_MILLISECONDS = 20;
/** Kernel clock ticks a second, as Linux has had it on every architecture for decades. */
const TICKS_PER_SECOND = 100;

const readText = (file) => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined; // the process is gone, or this is not Linux
  }
};

const listFolder = (folder) => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

/** A process and all below it. */
function tree(pid) {
  const found = [pid];
  for (const parent of found) {
    for (const task of listFolder(`/proc/${parent}/task`)) {
      const children = readText(`/proc/${parent}/task/${task}/children`) ?? '';
      found.push(...children.split(' ').filter(Boolean).map(Number));
    }
  }
  return found;
}

function sample(pid) {
  const status = readText(`/proc/${pid}/status`);
  const stat = readText(`/proc/${pid}/stat`);
  const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(status ?? '')?.[1];
  if (kilobytes === undefined || stat === undefined) return undefined;
  // The command's name, in brackets, may hold spaces; user and system ticks are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    bytes: 1024 * Number(kilobytes),
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
  };
}

/**
 * @returns {Promise<{ seconds: number, cpuSeconds: number | undefined, peakBytes: number | undefined, code: number | null,
 *   stdout: string, stderr: string }>} memory and CPU are undefined where there is no /proc
 */
export function measure(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const samples = new Map();
    const poll = () => {
      for (const pid of tree(child.pid)) {
        const now = sample(pid);
        if (now !== undefined) samples.set(pid, now);
      }
    };
    const timer = setInterval(poll, POLL_MILLISECONDS);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data) => (stdout += data));
    child.stderr.on('data', (data) => (stderr += data));
    child.on('error', (error) => {
      clearInterval(timer);
      reject(error);
    });
    child.on('close', (code) => {
      clearInterval(timer);
      const seconds = (performance.now() - started) / 1000;
      const all = [...samples.values()];
      const sum = (key) => (all.length === 0 ? undefined : all.reduce((total, s) => total + s[key], 0));
      resolve({ seconds, cpuSeconds: sum('cpuSeconds'), peakBytes: sum('bytes'), code, stdout, stderr });
    });
  });
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
