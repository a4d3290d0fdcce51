/**
 * Jobs as Slurm's programs print them. Versions differ: `squeue --json` wrote plain numbers and words until 22.05, then
 * objects and lists; nothing is taken for granted.
 */
import type { SlurmJob } from './slurmState';

/** A job array's tasks that still wait are told as one: `1-3,7%2`. */
interface TaskList {
  readonly array: string;
  readonly tasks: string;
  readonly job: SlurmJob;
}

/** Jobs by id; tasks that are told together are found in it too. */
export interface SlurmJobs {
  find(id: string): SlurmJob | undefined;
  readonly size: number;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * What `squeue --json` says.
 *
 * @returns undefined when it is no such answer; `errors` are Slurm's own, in one line, when it could not tell
 */
export function parseSqueueJson(text: string): { jobs: SlurmJobs; errors?: string } | undefined {
  const answer = parsed(text);
  if (!isFields(answer) || !Array.isArray(answer.jobs)) return undefined;
  const alone: SlurmJob[] = [];
  const lists: TaskList[] = [];
  for (const fields of answer.jobs as readonly unknown[]) {
    if (!isFields(fields)) continue;
    const id = numberOf(fields.job_id);
    if (id === undefined) continue;
    const job = jobOf(String(id), fields);
    const array = numberOf(fields.array_job_id) ?? 0;
    const task = numberOf(fields.array_task_id);
    const tasks = textOf(fields.array_task_string) ?? '';
    if (array === 0) alone.push(job);
    else if (task !== undefined) alone.push({ ...job, id: `${array}_${task}` });
    else lists.push({ array: String(array), tasks, job });
  }
  const errors = errorsOf(answer.errors);
  return { jobs: collected(alone, lists), ...(errors !== undefined && { errors }) };
}

/** Columns asked of `squeue --format`, and read by `parseSqueueLines`. */
export const SQUEUE_FORMAT = '%i|%T|%r|%N';

/** What `squeue --noheader --format` says of some jobs: no exit codes. */
export function parseSqueueLines(text: string): SlurmJobs {
  const alone: SlurmJob[] = [];
  const lists: TaskList[] = [];
  for (const line of text.split('\n')) {
    const [id = '', state = '', reason = '', nodes = ''] = line.trim().split('|');
    const [, array, tasks] = /^(\d+)_\[(.*)\]$/.exec(id) ?? [];
    const job = { id, states: [state], reason, nodes };
    if (array !== undefined && tasks !== undefined) lists.push({ array, tasks, job });
    else if (/^\d+(_\d+)?$/.test(id)) alone.push(job);
  }
  return collected(alone, lists);
}

/** What `scontrol show job` says. */
export function parseScontrol(text: string): SlurmJobs {
  const alone: SlurmJob[] = [];
  const lists: TaskList[] = [];
  for (const record of text.split(/^(?=JobId=)/m)) {
    const field = (name: string): string | undefined =>
      new RegExp(`(?:^|\\s)${name}=(\\S*)`).exec(record)?.[1];
    const id = field('JobId');
    const state = field('JobState');
    if (id === undefined || state === undefined) continue;
    const [, code, signal] = /^(\d+):(\d+)$/.exec(field('ExitCode') ?? '') ?? [];
    const job: SlurmJob = {
      id,
      states: [state],
      ...optional('reason', field('Reason')),
      ...optional('nodes', known(field('NodeList'))),
      ...optional('exitCode', code === undefined ? undefined : Number(code)),
      ...optional('exitSignal', signal === undefined ? undefined : Number(signal)),
      ...optional('restarts', numberOf(Number(field('Restarts') ?? 0))),
    };
    const array = field('ArrayJobId');
    const task = field('ArrayTaskId');
    if (array === undefined || task === undefined) alone.push(job);
    else if (/^\d+$/.test(task)) alone.push({ ...job, id: `${array}_${task}` });
    else lists.push({ array, tasks: task, job });
  }
  return collected(alone, lists);
}

function collected(alone: readonly SlurmJob[], lists: readonly TaskList[]): SlurmJobs {
  const byId = new Map(alone.map((job) => [job.id, job]));
  return {
    size: byId.size + lists.length,
    find(id) {
      const found = byId.get(id);
      if (found !== undefined) return found;
      const [array, task] = id.split('_');
      if (task === undefined) return undefined;
      const list = lists.find((each) => each.array === array && includesTask(each.tasks, Number(task)));
      return list === undefined ? undefined : { ...list.job, id };
    },
  };
}

/** Whether a list of tasks names one: `1-3,7,8-20:4%2`. Cut short (`1,3,...`), it may name any. */
export function includesTask(tasks: string, task: number): boolean {
  const [list = ''] = tasks.split('%');
  return list.split(',').some((range) => {
    if (range.includes('...')) return true;
    const [, first, last, step] = /^(\d+)(?:-(\d+)(?::(\d+))?)?$/.exec(range.trim()) ?? [];
    if (first === undefined) return false;
    const [from, to, by] = [Number(first), Number(last ?? first), Number(step ?? 1)];
    return task >= from && task <= to && (task - from) % Math.max(1, by) === 0;
  });
}

function jobOf(id: string, fields: Fields): SlurmJob {
  const states = Array.isArray(fields.job_state) ? (fields.job_state as unknown[]) : [fields.job_state];
  return {
    id,
    states: states.filter((state): state is string => typeof state === 'string'),
    ...optional('reason', textOf(fields.state_reason)),
    ...optional('nodes', textOf(fields.nodes)),
    ...exitOf(fields.exit_code),
    ...optional('restarts', numberOf(fields.restart_cnt)),
  };
}

/** wait(2)'s number until 22.05; then an object of both. */
function exitOf(value: unknown): { exitCode?: number; exitSignal?: number } {
  const status = typeof value === 'number' ? value : undefined;
  if (status !== undefined) {
    const signal = status & 0x7f;
    return { exitCode: signal > 0 ? 0 : (status >> 8) & 0xff, exitSignal: signal };
  }
  if (!isFields(value)) return {};
  const signal = isFields(value.signal) ? value.signal : {};
  return {
    ...optional('exitCode', numberOf(value.return_code)),
    ...optional('exitSignal', numberOf(signal.id ?? signal.signal_id)),
  };
}

/** A number, or an object that says whether it is one: `{ set, infinite, number }`. */
function numberOf(value: unknown): number | undefined {
  if (isFields(value)) return value.set === true ? numberOf(value.number) : undefined;
  return typeof value === 'number' && Number.isInteger(value) ? value : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function known(value: string | undefined): string | undefined {
  return value === '(null)' || value === '' ? undefined : value;
}

function errorsOf(value: unknown): string | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const [first] = value as readonly unknown[];
  const said = isFields(first) ? (textOf(first.description) ?? textOf(first.error)) : textOf(first);
  return said ?? 'Slurm reports an error';
}

function optional<K extends string, T>(name: K, value: T | undefined): Partial<Record<K, T>> {
  // One key, of the type that it is given.
  return value === undefined ? {} : ({ [name]: value } as Record<K, T>);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
