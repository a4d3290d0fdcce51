/** The files of a run, read and written: see `run.ts` for what each is, and who writes it. */
import { appendFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CheckpointError } from '../../checkpoint/errors';
import { writeFileAtomically } from '../../checkpoint/write/atomicFile';
import {
  RUN_SCHEMA,
  type LaunchRecord,
  type RunEvent,
  type RunRecord,
  type RunState,
  type StateRecord,
} from './run';

/** Records are some kilobytes: a larger one is none of ours. */
const MAX_RECORD_BYTES = 16 * 1024 * 1024;

export interface RunPaths {
  readonly record: string;
  readonly launch: string;
  readonly state: string;
  readonly metrics: string;
  readonly log: string;
  readonly stop: string;
  readonly checkpoint: string;
  readonly model: string;
  readonly best: string;
}

export function runPaths(folder: string): RunPaths {
  const at = (name: string): string => path.join(folder, name);
  return {
    record: at('run.json'),
    launch: at('launch.json'),
    state: at('state.json'),
    metrics: at('metrics.jsonl'),
    log: at('log.txt'),
    stop: at('stop'),
    checkpoint: at('checkpoint.safetensors'),
    model: at('model.safetensors'),
    best: at('best.safetensors'),
  };
}

/** A run as its files have it. */
export interface StoredRun {
  readonly folder: string;
  readonly record: RunRecord;
  readonly launch?: LaunchRecord;
  readonly state?: StateRecord;
}

/** @throws CheckpointError when the folder holds no run, or one of another version */
export function readRun(folder: string): StoredRun {
  const files = runPaths(folder);
  const record = readJson(files.record);
  if (record === undefined) throw new CheckpointError('io', 'holds no run', { file: folder });
  if (!isRecord(record))
    throw new CheckpointError('unsupported', `is no ${RUN_SCHEMA}`, { file: files.record });
  // Written by the functions below, of the same version as the record.
  const launch = readJson(files.launch) as LaunchRecord | undefined;
  const state = readJson(files.state) as StateRecord | undefined;
  return { folder, record, ...(launch && { launch }), ...(state && { state }) };
}

export function writeRecord(folder: string, record: RunRecord): void {
  writeJson(runPaths(folder).record, record);
}

export function writeLaunch(folder: string, launch: LaunchRecord): void {
  writeJson(runPaths(folder).launch, launch);
}

export function writeState(folder: string, state: StateRecord): void {
  writeJson(runPaths(folder).state, state);
}

/** Whole lines at once, so that whoever follows never sees half of one for long. */
export function appendEvents(folder: string, events: readonly RunEvent[]): void {
  if (events.length === 0) return;
  appendFileSync(runPaths(folder).metrics, events.map((event) => `${JSON.stringify(event)}\n`).join(''));
}

/** Events a run has written; a last line cut off by a crash is left out. */
export function readEvents(folder: string): readonly RunEvent[] {
  const { metrics } = runPaths(folder);
  if (!existsSync(metrics)) return [];
  return parseEvents(readFileSync(metrics, 'utf8'));
}

/** Of whole lines; what is no event is passed over. */
export function parseEvents(text: string): readonly RunEvent[] {
  return text.split('\n').flatMap((line) => {
    const event = parsed(line);
    return isEvent(event) ? [event] : [];
  });
}

/** Takes back what was told after a step: the run goes on from there. */
export function truncateEvents(folder: string, step: number): void {
  const events = readEvents(folder).filter((event) => (event.step ?? 0) <= step);
  writeFileAtomically(runPaths(folder).metrics, events.map((event) => `${JSON.stringify(event)}\n`).join(''));
}

/** Asks a run to keep a checkpoint and end. */
export function requestStop(folder: string): void {
  writeFileSync(runPaths(folder).stop, '');
}

export function isStopRequested(folder: string): boolean {
  return existsSync(runPaths(folder).stop);
}

export function clearStop(folder: string): void {
  rmSync(runPaths(folder).stop, { force: true });
}

/** Says of a run that its turn never came, or has not come again, that it was stopped. */
export function noteStopped({ folder, launch, state }: StoredRun): void {
  writeState(folder, {
    ...(state ?? { seconds: 0 }),
    state: 'stopped',
    attempt: launch?.attempt ?? 1,
    updatedAt: new Date().toISOString(),
  });
}

/** It is over, until somebody resumes it. */
export function isOver(state: RunState): boolean {
  return state !== 'queued' && state !== 'running' && state !== 'stopping';
}

/** Number of the attempt that a launch begins. */
export function nextAttempt(launch: LaunchRecord | undefined): number {
  return (launch?.attempt ?? 0) + 1;
}

/** Anything may lie there; what follows relies on these. */
function isRecord(value: object): value is RunRecord {
  return (
    'schema' in value &&
    value.schema === RUN_SCHEMA &&
    'id' in value &&
    typeof value.id === 'string' &&
    'resolved' in value &&
    typeof value.resolved === 'object'
  );
}

function isEvent(value: unknown): value is RunEvent {
  return (
    typeof value === 'object' &&
    value !== null &&
    'kind' in value &&
    (value.kind === 'note' ||
      (['train', 'evaluation', 'utilization'].includes(String(value.kind)) &&
        'step' in value &&
        typeof value.step === 'number'))
  );
}

/** Undefined when there is none: it has not been written yet. */
function readJson(file: string): object | undefined {
  const facts = statSync(file, { throwIfNoEntry: false });
  if (facts === undefined) return undefined;
  if (!facts.isFile() || facts.size > MAX_RECORD_BYTES)
    throw new CheckpointError('malformed', 'is no record of a run', { file });
  const value = parsed(readFileSync(file, 'utf8'));
  if (typeof value !== 'object' || value === null)
    throw new CheckpointError('malformed', 'is no record of a run', { file });
  return value;
}

function writeJson(file: string, value: unknown): void {
  writeFileAtomically(file, `${JSON.stringify(value, undefined, 2)}\n`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
