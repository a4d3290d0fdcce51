// A real Slurm of two virtual nodes on this machine, for tests:
//   node scripts/slurm.mjs     installs Debian's packages where they are missing (root), and runs a job
//
// Controller and nodes are plain processes of whoever starts them, with a configuration, state and logs in a folder of
// their own: no munge, no accounting, no service of the system. As on many real clusters, sacct has nothing to tell.
import { execFile, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const NODES = ['n1', 'n2'];
/** A job may ask for as many processors as a node says it has; they need not be there. */
const CPUS = 4;
const MEGABYTES = 1000;

const START_MILLISECONDS = 30_000;
const STOP_MILLISECONDS = 10_000;

/** Debian puts the daemons where only root looks. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** Whether its programs are here; they are not where no package has brought them. */
export function slurmInstalled() {
  return ['sbatch', 'squeue', 'scontrol', 'scancel', 'slurmctld', 'slurmd'].every((name) =>
    PATH.split(':').some((folder) => existsSync(path.join(folder, name))),
  );
}

/**
 * Installs Debian's packages unless they are here.
 * @throws {Error} in one line where that cannot be done
 */
export async function installSlurm(say = () => undefined) {
  if (slurmInstalled()) return;
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0)
    throw new Error('Slurm is missing, and is installed by this script on Debian as root alone');
  say('apt-get: slurm-wlm, 8 MB');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', 'slurm-wlm']]) {
    const { status, stdout, stderr } = spawnSync('apt-get', args, { encoding: 'utf8', env });
    if (status !== 0)
      throw new Error(`apt-get ${args[0]} ended with ${status}:\n${(stdout + stderr).slice(-2000)}`);
  }
  if (!slurmInstalled()) throw new Error('slurm-wlm was installed, and its programs are not on the PATH');
}

/**
 * Starts a controller and two nodes, n1 and n2, and waits until both are idle.
 *
 * @param folder for configuration, state and logs; made when it is missing
 * @param settings lines of slurm.conf that replace those here: `{ SlurmdTimeout: 5 }`
 * @returns `env`: what Slurm's programs need to find it; `stop()` ends everything, jobs too; `killNode(name)` is a node
 *   that loses power: nothing on it gets to say goodbye; `startNode(name)` switches it on again
 * @throws {Error} with the end of the logs when it does not come up
 */
export async function startSlurm(folder, settings = {}) {
  if (process.getuid?.() !== 0) throw new Error("Slurm's nodes need root to start jobs");
  mkdirSync(path.join(folder, 'state'), { recursive: true });
  const config = path.join(folder, 'slurm.conf');
  const ports = await freePorts(1 + NODES.length);
  writeFileSync(config, configuration(folder, ports, settings));
  const env = { PATH, SLURM_CONF: config };
  const slurm = new Slurm(folder, env);
  try {
    slurm.start('slurmctld', ['-D']);
    for (const name of NODES) slurm.startNode(name);
    await slurm.waitForNodes();
  } catch (error) {
    await slurm.stop();
    throw error;
  }
  return {
    env,
    stop: () => slurm.stop(),
    killNode: (name) => slurm.killNode(name),
    startNode: (name) => slurm.startNode(name),
  };
}

class Slurm {
  daemons = new Map();

  constructor(folder, env) {
    this.folder = folder;
    this.env = { ...process.env, ...env };
  }

  start(program, args, name = program) {
    const child = spawn(program, args, { env: this.env, stdio: 'ignore' });
    const exited = new Promise((resolve) => {
      child.once('exit', resolve);
      child.once('error', resolve);
    });
    this.daemons.set(name, { child, exited });
  }

  startNode(name) {
    mkdirSync(path.join(this.folder, name), { recursive: true });
    this.start('slurmd', ['-D', '-N', name], name);
  }

  async waitForNodes() {
    const until = performance.now() + START_MILLISECONDS;
    for (;;) {
      const ended = [...this.daemons].find(([, { child }]) => child.exitCode !== null);
      if (ended !== undefined) throw new Error(`${ended[0]} ended:\n${this.logs()}`);
      const { stdout = '' } = await this.ask('sinfo', '--noheader', '--format=%D %t').catch(() => ({}));
      if (stdout.trim() === `${NODES.length} idle`) return;
      if (performance.now() > until) throw new Error(`Slurm does not come up:\n${stdout}${this.logs()}`);
      await delay(200);
    }
  }

  /** With all that runs on it: its steps do not end with the daemon. */
  async killNode(name) {
    const daemon = this.daemons.get(name);
    if (daemon === undefined) throw new Error(`there is no node ${name}`);
    this.daemons.delete(name);
    daemon.child.kill('SIGKILL');
    await daemon.exited;
    const jobs = this.processesOf((environment) => environment.includes(`SLURMD_NODENAME=${name}`));
    // First whoever would tell the controller that the jobs were killed.
    for (const pid of [...this.steps().filter((step) => jobs.some((job) => parentOf(job) === step)), ...jobs])
      kill(pid);
  }

  async stop() {
    // Jobs end with their nodes; the controller last, as it is asked until then.
    if (this.daemons.has('slurmctld')) {
      await this.ask('scancel', '--full', `--user=${os.userInfo().username}`).catch(() => undefined);
      await this.ask('scontrol', 'shutdown').catch(() => undefined);
    }
    for (const { child, exited } of this.daemons.values()) {
      child.kill('SIGTERM');
      const isOver = await Promise.race([exited.then(() => true), delay(STOP_MILLISECONDS, false)]);
      if (!isOver) child.kill('SIGKILL');
      await exited;
    }
    this.daemons.clear();
    for (const pid of [...this.steps(), ...this.processesOf(() => true)]) kill(pid);
  }

  /** Processes of jobs of this Slurm alone: they are known by its configuration, which each job is handed. */
  processesOf(isMeant) {
    return processes().filter((pid) => {
      const environment = textOf(`/proc/${pid}/environ`).split('\0');
      const isJob = environment.some((each) => each.startsWith('SLURM_JOB_ID='));
      return isJob && environment.includes(`SLURM_CONF=${this.env.SLURM_CONF}`) && isMeant(environment);
    });
  }

  /** `slurmstepd`, which each watch over the processes of a job. */
  steps() {
    return processes().filter(
      (pid) =>
        textOf(`/proc/${pid}/cmdline`).startsWith('slurmstepd:') &&
        textOf(`/proc/${pid}/environ`).split('\0').includes(`SLURM_CONF=${this.env.SLURM_CONF}`),
    );
  }

  async ask(program, ...args) {
    return await promisify(execFile)(program, args, { env: this.env, timeout: STOP_MILLISECONDS });
  }

  logs() {
    return readdirSync(this.folder)
      .filter((name) => name.endsWith('.log'))
      .map((name) => `${name}:\n${textOf(path.join(this.folder, name)).split('\n').slice(-8).join('\n')}`)
      .join('\n');
  }
}

function processes() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid);
}

function parentOf(pid) {
  return Number(/^PPid:\s*(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1]);
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was quicker.
  }
}

function textOf(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function configuration(folder, [port, ...nodePorts], settings) {
  const host = os.hostname();
  const lines = {
    ClusterName: 'rankscope',
    SlurmctldHost: `${host}(127.0.0.1)`,
    SlurmctldPort: port,
    SlurmUser: 'root',
    SlurmdUser: 'root',
    AuthType: 'auth/none',
    CredType: 'cred/none',
    ProctrackType: 'proctrack/linuxproc',
    TaskPlugin: 'task/none',
    AccountingStorageType: 'accounting_storage/none',
    JobAcctGatherType: 'jobacct_gather/none',
    SelectType: 'select/cons_tres',
    SelectTypeParameters: 'CR_Core',
    SwitchType: 'switch/none',
    MpiDefault: 'none',
    StateSaveLocation: path.join(folder, 'state'),
    SlurmdSpoolDir: path.join(folder, '%n'),
    SlurmctldPidFile: path.join(folder, 'slurmctld.pid'),
    SlurmdPidFile: path.join(folder, '%n.pid'),
    SlurmctldLogFile: path.join(folder, 'slurmctld.log'),
    SlurmdLogFile: path.join(folder, '%n.log'),
    // What is said of the nodes counts, not what is found.
    SlurmdParameters: 'config_overrides',
    // A node that comes back is used again; one that falls silent is soon given up.
    ReturnToService: 2,
    SlurmdTimeout: 5,
    KillWait: 10,
    MinJobAge: 120,
    SchedulerParameters: 'sched_interval=1,sched_min_interval=0,bf_interval=1',
    ...settings,
  };
  const nodes = NODES.map(
    (name, i) =>
      `NodeName=${name} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${nodePorts[i]} CPUs=${CPUS} RealMemory=${MEGABYTES}`,
  );
  return [
    ...Object.entries(lines).map((pair) => pair.join('=')),
    ...nodes,
    `PartitionName=main Nodes=${NODES.join(',')} Default=YES MaxTime=INFINITE State=UP`,
    '',
  ].join('\n');
}

/** That nobody listens at, a moment ago. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = [];
  for (const server of servers) {
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    ports.push(server.address().port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function smoke() {
  await installSlurm((line) => process.stderr.write(`${line}\n`));
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-slurm-'));
  try {
    const { env, stop } = await startSlurm(folder);
    try {
      const options = { env: { ...process.env, ...env }, cwd: folder };
      const job = [
        '--wait',
        '--parsable',
        `--output=${folder}/out.txt`,
        '--wrap=echo ran on $SLURMD_NODENAME',
      ];
      const { stdout } = await promisify(execFile)('sbatch', job, {
        ...options,
        timeout: START_MILLISECONDS,
      });
      console.log(`job ${stdout.trim()} ${textOf(path.join(folder, 'out.txt')).trim()}`);
    } finally {
      await stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (path.basename(process.argv[1] ?? '') === 'slurm.mjs') {
  // No `await` at the top level: tests carry this file in bundles that have none.
  smoke().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
