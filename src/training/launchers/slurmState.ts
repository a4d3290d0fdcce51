/** What Slurm's words for a job mean for a run. */
import { printable } from '../../checkpoint/errors';
import type { PlaceStatus } from './launcher';

/** A job, or a task of an array, as `squeue` or `scontrol` tells of it. */
export interface SlurmJob {
  /** `12`, or `12_3`. */
  readonly id: string;
  /** Base state and flags: `FAILED`; `CANCELLED`, `COMPLETING`. */
  readonly states: readonly string[];
  /** `Resources`, `JobHeldUser`, `NonZeroExitCode`. */
  readonly reason?: string;
  readonly nodes?: string;
  readonly exitCode?: number;
  readonly exitSignal?: number;
  /** How often Slurm has started it again. */
  readonly restarts?: number;
}

/** Not begun, or to begin again. */
const WAITING = new Set([
  'PENDING',
  'CONFIGURING',
  'REQUEUED',
  'REQUEUE_FED',
  'REQUEUE_HOLD',
  'RESV_DEL_HOLD',
  'SPECIAL_EXIT',
  'POWER_UP_NODE',
]);
const ALIVE = new Set([
  'RUNNING',
  'COMPLETING',
  'SUSPENDED',
  'STOPPED',
  'SIGNALING',
  'RESIZING',
  'EXPEDITING',
  'STAGE_OUT',
]);
const GONE = new Set([
  'COMPLETED',
  'FAILED',
  'CANCELLED',
  'TIMEOUT',
  'NODE_FAIL',
  'OUT_OF_MEMORY',
  'PREEMPTED',
  'BOOT_FAIL',
  'DEADLINE',
  'LAUNCH_FAILED',
  'RECONFIG_FAIL',
  'REVOKED',
]);

/** Slurm's own, where a node could not open the job's output: no signal has this number's meaning. */
const NO_OUTPUT_SIGNAL = 53;
const NOT_SHARED = 'the node cannot write into the folder of the runs: all nodes must share it';

export function placeOf(job: SlurmJob): PlaceStatus {
  const find = (words: ReadonlySet<string>): string | undefined =>
    job.states.find((state) => words.has(state));
  // The processes of a job that completes are still being ended, whatever became of it.
  const completing = find(new Set(['COMPLETING']));
  if (completing !== undefined) return { kind: 'alive', detail: `${completing}${onNodes(job)}` };
  const waiting = find(WAITING);
  if (waiting !== undefined) return { kind: 'waiting', detail: waitingDetail(job, waiting) };
  const gone = find(GONE);
  if (gone !== undefined) return { kind: 'gone', detail: goneDetail(job, gone) };
  const alive = find(ALIVE);
  if (alive !== undefined) return { kind: 'alive', detail: `${alive}${onNodes(job)}${restarted(job)}` };
  return { kind: 'unknown', detail: printable(job.states.join(', ') || 'Slurm names no state') };
}

function waitingDetail(job: SlurmJob, state: string): string {
  const reason = reasonOf(job);
  return `${state}${reason === undefined ? '' : ` (${reason})`}${restarted(job)}`;
}

function goneDetail(job: SlurmJob, state: string): string {
  const { exitCode = 0, exitSignal = 0 } = job;
  if (exitSignal === NO_OUTPUT_SIGNAL) return `${state}: ${NOT_SHARED}`;
  if (state === 'NODE_FAIL' || state === 'BOOT_FAIL') return `${state}${onNodes(job)}`;
  if (state !== 'FAILED') return state;
  if (exitSignal > 0) return `${state}, signal ${exitSignal}`;
  if (exitCode > 0) return `${state}, exit code ${exitCode}`;
  const reason = reasonOf(job);
  return `${state}${reason === undefined ? '' : ` (${reason})`}`;
}

function onNodes({ nodes }: SlurmJob): string {
  return nodes === undefined || nodes === '' ? '' : ` on ${printable(nodes)}`;
}

function restarted({ restarts = 0 }: SlurmJob): string {
  if (restarts === 0) return '';
  return restarts === 1 ? ', restarted once' : `, restarted ${restarts} times`;
}

function reasonOf({ reason }: SlurmJob): string | undefined {
  return reason === undefined || reason === '' || reason === 'None' ? undefined : printable(reason);
}
