/** What a script is told through its environment. */
import path from 'node:path';
import { LAUNCH_VARIABLE } from '../launchers/claim';
import type { StoredRun } from '../run/runFolder';
import type { ScriptRecipe } from '../recipe';

/** Files and folders of a run that a script uses; in the run's folder. */
export interface ScriptPaths {
  /** The helper appends its reports to it. */
  readonly reports: string;
  /** For checkpoints of the script's own. */
  readonly checkpoint: string;
  /** There once the script is to save and end. Not the run's own wish to stop, which outlives an attempt. */
  readonly stop: string;
  /** On Python's path: holds the helper. */
  readonly modules: string;
  /** Which process it is. */
  readonly process: string;
}

export function scriptPaths(folder: string): ScriptPaths {
  return {
    reports: path.join(folder, 'reports.jsonl'),
    checkpoint: path.join(folder, 'checkpoint'),
    stop: path.join(folder, 'script.stop'),
    modules: path.join(folder, 'python'),
    process: path.join(folder, 'script.json'),
  };
}

/** `RANKSCOPE_CHOICE_LEARNING_RATE` of `learningRate`. */
export function choiceVariable(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').replace(/[^A-Za-z0-9]+/g, '_');
  return `RANKSCOPE_CHOICE_${words.toUpperCase()}`;
}

/** The user's own environment, but for what belongs to this program; what the recipe sets; what the run is. */
export function scriptEnvironment(
  { folder, record }: StoredRun,
  script: ScriptRecipe,
  before: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const paths = scriptPaths(folder);
  const { ELECTRON_RUN_AS_NODE: _node, NODE_OPTIONS: _options, ...own } = before;
  const env: NodeJS.ProcessEnv = {
    ...own,
    PYTHONUNBUFFERED: '1',
    PYTHONIOENCODING: 'utf-8:backslashreplace',
    ...script.environment,
  };
  const modules = [paths.modules, env.PYTHONPATH].filter((each) => each !== undefined && each !== '');
  const choices = Object.entries(record.choices).map(
    ([name, value]) => [choiceVariable(name), String(value)] as const,
  );
  return {
    ...env,
    PYTHONPATH: modules.join(path.delimiter),
    RANKSCOPE_RUN: folder,
    RANKSCOPE_METRICS: paths.reports,
    RANKSCOPE_CHECKPOINT: paths.checkpoint,
    RANKSCOPE_STOP: paths.stop,
    RANKSCOPE_SEED: String(record.seed),
    RANKSCOPE_RUNNER: String(process.pid),
    // A runner that the script starts is another's.
    [LAUNCH_VARIABLE]: undefined,
    ...Object.fromEntries(choices),
  };
}
