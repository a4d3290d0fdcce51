/** What is handed to `sbatch`: its options, and the script that becomes each task of the array. */
import path from 'node:path';
import { printable } from '../../checkpoint/errors';
import type { LauncherRecipe } from '../recipe';
import { LAUNCH_VARIABLE } from './claim';
import type { RunnerProgram, RunToLaunch } from './launcher';
import { posixWord } from './quote';

export type SlurmRecipe = Extract<LauncherRecipe, { readonly kind: 'slurm' }>;

/** Ends the list of folders; no path is equal to it, as paths are absolute. */
const END_OF_LIST = 'END OF THE LIST';
/** A run gets this long to keep a checkpoint before its time is up; of a short limit, a quarter. */
const NOTICE_SECONDS = 60;

/** Files of a launch: beside the runs' folders, named after their group. */
export interface SlurmFiles {
  readonly script: string;
  /** What is said before a run's own log is open. */
  readonly output: string;
}

export function slurmFiles(runs: readonly RunToLaunch[]): SlurmFiles {
  const [first] = runs;
  if (first === undefined) throw new Error('there is nothing to run');
  const name = `${first.record.group.replace(/[^\w.-]+/g, '_').slice(0, 80)}.slurm`;
  const folder = path.dirname(first.folder);
  return { script: path.join(folder, `${name}.sh`), output: path.join(folder, `${name}.txt`) };
}

/** `sbatch` and its arguments. The recipe's own options come last, and so have the last word. */
export function sbatchCommand(
  recipe: SlurmRecipe,
  runs: readonly RunToLaunch[],
  { script, output }: SlurmFiles,
): readonly [string, ...string[]] {
  const { partition, time, cpus, memory, gpus, jobs, options = [] } = recipe;
  const last = runs.length - 1;
  const most = jobs === undefined ? '' : `%${jobs}`;
  return [
    'sbatch',
    '--parsable',
    `--job-name=${jobName(runs)}`,
    ...(last > 0 ? [`--array=0-${last}${most}`] : []),
    '--nodes=1',
    '--ntasks=1',
    ...(partition === undefined ? [] : [`--partition=${partition}`]),
    ...(time === undefined ? [] : [`--time=${time}`]),
    ...(cpus === undefined ? [] : [`--cpus-per-task=${cpus}`]),
    ...(memory === undefined ? [] : [`--mem=${memory}`]),
    ...(gpus === undefined ? [] : [`--gres=gpu:${gpus}`]),
    // To the runner itself, which the script turns into: before the time is up, and when a node is lost.
    `--signal=B:TERM@${noticeOf(time)}`,
    '--requeue',
    '--open-mode=append',
    // A percent sign begins a name that Slurm fills in.
    `--output=${output.replaceAll('%', '%%')}`,
    ...options,
    script,
  ];
}

/**
 * The script. A task finds its folder in the list, whose lines no shell looks into, and turns into the runner.
 *
 * @throws Error for a folder that has no place in a list of lines
 */
export function slurmScript(
  recipe: SlurmRecipe,
  runs: readonly RunToLaunch[],
  program: RunnerProgram,
  launchId: string,
): string {
  const folders = runs.map(({ folder }) => folder);
  const odd = folders.find((folder) => /[\n\r\0]/.test(folder));
  if (odd !== undefined)
    throw new Error(`${printable(odd)}: Slurm takes no folder with a line break in its name`);
  const [node = '', ...rest] = program.command;
  const command = [recipe.node ?? node, ...rest].map(posixWord).join(' ');
  const variables = { ...program.env, [LAUNCH_VARIABLE]: launchId };
  return `#!/bin/bash
# Written by Rankscope for sbatch: task i of the array trains the run in line i of the list, counted from 0.
{
  for ((line = 0; line <= \${SLURM_ARRAY_TASK_ID:-0}; line++)); do IFS= read -r folder; done
} <<'${END_OF_LIST}'
${folders.join('\n')}
${END_OF_LIST}
if [[ ! -w $folder ]]; then
  echo "$(hostname) does not see $folder: runs on Slurm need a folder that all nodes share" >&2
  exit 1
fi
exec >>"$folder/log.txt" 2>&1
${Object.entries(variables)
  .map(([name, value]) => `export ${name}=${posixWord(value)}`)
  .join('\n')}
${(recipe.setup ?? []).map((line) => `${line}\n`).join('')}exec ${command} "$folder"
`;
}

/** Seconds before its end at which a job is told. `--time` is minutes, [[days-]hours:]minutes:seconds, days-hours[:minutes]. */
function noticeOf(time: string | undefined): number {
  const seconds = time === undefined ? undefined : secondsOf(time);
  if (seconds === undefined || seconds <= 0) return NOTICE_SECONDS;
  return Math.max(1, Math.min(NOTICE_SECONDS, Math.floor(seconds / 4)));
}

function secondsOf(time: string): number | undefined {
  const match = /^(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?$/.exec(time.trim());
  if (match === null) return undefined;
  const [, days, a, b, c] = match;
  const [first, second, third] = [Number(a), Number(b ?? 0), Number(c ?? 0)];
  if (days !== undefined) return Number(days) * 86_400 + first * 3600 + second * 60 + third;
  if (c !== undefined) return first * 3600 + second * 60 + third;
  return first * 60 + second;
}

function jobName(runs: readonly RunToLaunch[]): string {
  const recipe = path.basename(runs[0]?.record.recipe ?? 'rankscope', '.rankscope.json');
  return recipe.replace(/[^\w.-]+/g, '_').slice(0, 60) || 'rankscope';
}
