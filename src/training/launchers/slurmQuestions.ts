/** Asks Slurm about jobs, many at once: `squeue --json`, or where that does not work, its table and `scontrol`. */
import { printable } from '../../checkpoint/errors';
import { CommandFailure, firstLine, runCommand, type CommandAnswer } from './command';
import { parseScontrol, parseSqueueJson, parseSqueueLines, SQUEUE_FORMAT, type SlurmJobs } from './slurmJobs';
import type { SlurmJob } from './slurmState';

/** A controller that hangs must not hang those who watch it. */
export const ASK_MILLISECONDS = 10_000;
/** Until 22.05, `squeue --json` tells of every job of the cluster, whatever it is asked, at some 3 kB each. */
const MAX_JSON_BYTES = 32 << 20;
const LARGE_JSON_BYTES = 1 << 20;
/** Of this many jobs, one is asked about: the table costs the cluster less. */
const WASTEFUL = 10;
/** Job ids in one question: command lines are bounded. */
const IDS_AT_ONCE = 500;

/** A job; nothing when Slurm no longer knows it. */
export type AskedJob = SlurmJob | undefined;

export class SlurmQuestions {
  /** Whether the answer as JSON is worth asking for: tried until it was seen not to be. */
  private asksJson = true;

  /**
   * @param ids `12` or `12_3`
   * @returns in their order
   * @throws Error in one line when Slurm cannot be asked
   */
  async jobs(ids: readonly string[], signal: AbortSignal): Promise<readonly AskedJob[]> {
    const bases = [...new Set(ids.map(baseOf))];
    const found = new Map<string, SlurmJob>();
    for (let i = 0; i < bases.length; i += IDS_AT_ONCE) {
      const some = new Set(bases.slice(i, i + IDS_AT_ONCE));
      const asked = ids.filter((id) => some.has(baseOf(id)));
      for (const job of await this.ask(asked, [...some], signal)) found.set(job.id, job);
    }
    return ids.map((id) => found.get(id));
  }

  private async ask(
    ids: readonly string[],
    bases: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly SlurmJob[]> {
    const jobs = this.asksJson ? await this.askJson(ids, bases, signal) : undefined;
    if (jobs !== undefined) return pick(jobs, ids);
    return await askTable(ids, bases, signal);
  }

  /** @returns undefined where it does not work */
  private async askJson(
    ids: readonly string[],
    bases: readonly string[],
    signal: AbortSignal,
  ): Promise<SlurmJobs | undefined> {
    const answer = await squeue(['--json', '--states=all', `--jobs=${bases.join(',')}`], signal).catch(
      (error: unknown) => {
        if (error instanceof CommandFailure && error.reason === 'endless') return undefined;
        throw error;
      },
    );
    const read = answer === undefined ? undefined : parseSqueueJson(answer.stdout);
    if (answer === undefined || (read === undefined && !isRefusal(answer))) {
      this.asksJson = false;
      return undefined;
    }
    // Newer ones say so of a job that they have forgotten, if it is the only one that is asked about.
    if (answer.code !== 0 && isForgotten(answer.stderr)) return parseSqueueLines('');
    if (read === undefined) throw new Error(complaint('squeue', answer));
    if (read.errors !== undefined && read.jobs.size === 0)
      throw new Error(`Slurm cannot tell: ${printable(read.errors)}`);
    if (answer.stdout.length > LARGE_JSON_BYTES && read.jobs.size > WASTEFUL * ids.length)
      this.asksJson = false;
    return read.jobs;
  }
}

async function askTable(
  ids: readonly string[],
  bases: readonly string[],
  signal: AbortSignal,
): Promise<readonly SlurmJob[]> {
  const question = [
    '--noheader',
    '--array',
    '--states=all',
    `--format=${SQUEUE_FORMAT}`,
    `--jobs=${bases.join(',')}`,
  ];
  const answer = await squeue(question, signal);
  // What it says of a job it has forgotten, if it is the only one that is asked about.
  if (answer.code !== 0 && !isForgotten(answer.stderr)) throw new Error(complaint('squeue', answer));
  const all = parseSqueueLines(answer.stdout);
  // Not to be taken for the news that there are none.
  if (all.size === 0 && answer.stdout.trim() !== '')
    throw new Error(`squeue says something else: ${firstLine(answer.stdout)}`);
  const jobs = pick(all, ids);
  const failed = [
    ...new Set(jobs.filter(({ states }) => states.includes('FAILED')).map(({ id }) => baseOf(id))),
  ];
  const told = new Map<string, SlurmJob>();
  for (const base of failed) for (const job of await askDetails(base, ids, signal)) told.set(job.id, job);
  return jobs.map((job) => told.get(job.id) ?? job);
}

/** With exit codes. Nothing where it does not say: the state is known without it. */
async function askDetails(
  base: string,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<readonly SlurmJob[]> {
  try {
    const answer = await runCommand(['scontrol', 'show', 'job', base], {
      milliseconds: ASK_MILLISECONDS,
      env: environment(),
      signal,
    });
    return pick(parseScontrol(answer.stdout), ids);
  } catch (error) {
    if (error instanceof CommandFailure) return [];
    throw error;
  }
}

async function squeue(question: readonly string[], signal: AbortSignal): Promise<CommandAnswer> {
  return await runCommand(['squeue', ...question], {
    milliseconds: ASK_MILLISECONDS,
    maxBytes: MAX_JSON_BYTES,
    env: environment(),
    signal,
  });
}

/** What a program of Slurm complains about, in one line. */
export function complaint(program: string, { code, stdout, stderr }: CommandAnswer): string {
  const said = firstLine(stderr) || firstLine(stdout);
  // Their own names before it say nothing.
  const plain = said.replace(/^(\w+: )?(error|fatal): /, '').replace(/^\w+ error: /, '');
  return plain === '' ? `${program} ended with code ${code}` : plain;
}

/** What a program says when a job has ended too long ago, or never was. */
export function isForgotten(stderr: string): boolean {
  return /invalid job id/i.test(stderr);
}

/**
 * The user's own, but for how they like their tables, and for the job in which an editor may itself be running: its
 * limits are not those of the runs.
 */
export function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(SQUEUE_|SLURMD_|SLURM_(JOB|STEP|ARRAY|CPU|MEM|NTASKS|NPROCS|NNODES|TASK|NODE|GPU|PROCID|LOCALID|GTIDS|SUBMIT|PRIO|TRES|DISTRIBUTION))/.test(
        name,
      ),
  );
  // Lists of an array's tasks in full.
  return { ...Object.fromEntries(kept), SLURM_BITSTR_LEN: '0' };
}

/** It knows the option, and does not answer all the same. */
function isRefusal({ code, stderr, stdout }: CommandAnswer): boolean {
  const UNKNOWN = /unrecognized option|invalid option|unknown option|plugin|serializer|json/i;
  return code !== 0 && stdout.trim() === '' && !UNKNOWN.test(stderr);
}

function pick(jobs: SlurmJobs, ids: readonly string[]): readonly SlurmJob[] {
  return ids.flatMap((id) => jobs.find(id) ?? []);
}

function baseOf(id: string): string {
  return id.split('_', 1)[0] ?? id;
}
