/** Training from the editor, in an extension host with the real engine: real runs of a small network on analytic data. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import type { RankscopeTestApi } from '../../src/extension/extension';
import type { RunSummary } from '../../src/training/run/run';
import { closeAll, eventually, rankscope, workspaceFile } from './panels';

type State = NonNullable<ReturnType<RankscopeTestApi['trainingState']>>;

/** A run on a busy machine. */
const RUN_MS = 120_000;

const FOLDER = 'training';

/** Small enough for seconds; `steps` decide how many. */
const recipe = (steps: number): object => ({
  schema: 'rankscope/recipe@1',
  network: { kind: 'coordinates', width: 32, hidden: 2, forms: [{ kind: 'sine', rank: 2 }] },
  data: { kind: 'occupancy', solid: 'torus', resolution: 16 },
  training: {
    optimizer: { kind: 'adam', learningRate: 0.003 },
    ...{ batchSize: 256, steps, seed: 1, evaluate: { everySteps: 50 } },
  },
});

async function writeRecipe(name: string, steps: number): Promise<vscode.Uri> {
  const uri = workspaceFile(`${FOLDER}/${name}.rankscope.json`);
  await vscode.workspace.fs.writeFile(uri, Buffer.from(JSON.stringify(recipe(steps), undefined, 2)));
  return uri;
}

async function titlesOfLenses(uri: vscode.Uri): Promise<readonly string[]> {
  const lenses = await lensesOf(uri);
  return lenses.map(({ command }) => command?.title.replace(/^\$\([\w~-]+\) /, '') ?? '');
}

async function lensesOf(uri: vscode.Uri): Promise<readonly vscode.CodeLens[]> {
  await vscode.workspace.openTextDocument(uri);
  return vscode.commands.executeCommand<vscode.CodeLens[]>('vscode.executeCodeLensProvider', uri);
}

/** What a click on a lens does. */
async function clickLens(uri: vscode.Uri, title: string): Promise<void> {
  const found = (await lensesOf(uri)).find(({ command }) => command?.title.endsWith(title));
  assert.ok(found?.command, title);
  const given: unknown[] = found.command.arguments ?? [];
  await vscode.commands.executeCommand(found.command.command, ...given);
}

async function stateOf(what: string, uri: vscode.Uri, is: (state: State) => boolean): Promise<State> {
  const { trainingState } = await rankscope();
  const found = (): State | undefined => {
    const state = trainingState(uri);
    return state !== undefined && is(state) ? state : undefined;
  };
  try {
    return await eventually(`${what} of ${uri.path}`, found, RUN_MS);
  } catch (error) {
    throw new Error(`${String(error)}: ${JSON.stringify(trainingState(uri))}`, { cause: error });
  }
}

const only = ({ runs }: State): RunSummary => {
  assert.equal(runs.length, 1);
  const [run] = runs;
  assert.ok(run);
  return run;
};

const isIn =
  (...states: RunSummary['status']['state'][]) =>
  ({ runs }: State): boolean =>
    runs.length > 0 && runs.every(({ status }) => states.includes(status.state));

/** A run that a test left behind would go on without anybody: that is what runs are for. */
async function stopAll(): Promise<void> {
  const { trainingState } = await rankscope();
  for (const name of ['long', 'killed', 'task', 'again']) {
    const uri = workspaceFile(`${FOLDER}/${name}.rankscope.json`);
    const live = (trainingState(uri)?.runs ?? []).filter(({ status }) => status.state === 'running');
    for (const { folder } of live)
      await vscode.workspace.fs.writeFile(vscode.Uri.file(path.join(folder, 'stop')), new Uint8Array());
  }
}

const ourTasks = (): readonly vscode.TaskExecution[] =>
  vscode.tasks.taskExecutions.filter(({ task }) => task.definition.type === 'rankscope');

describe('Train', function () {
  this.timeout(2 * RUN_MS);

  before(rankscope);
  afterEach(async () => {
    await stopAll();
    await closeAll();
    await eventually('no task that goes on', () => (ourTasks().length === 0 ? true : undefined), RUN_MS);
  });
  after(async () => {
    await vscode.workspace.fs
      .delete(workspaceFile(FOLDER), { recursive: true })
      .then(undefined, () => undefined);
  });

  it('is offered above a recipe that trains, and only there; half-typed text is no obstacle', async () => {
    const uri = await writeRecipe('lens', 100);
    assert.deepEqual(await titlesOfLenses(uri), ['Train', 'Compare Forms']);
    const half = workspaceFile(`${FOLDER}/half.rankscope.json`);
    await vscode.workspace.fs.writeFile(half, Buffer.from('{ // soon\n "training": { "steps": 1'));
    assert.deepEqual(await titlesOfLenses(half), ['Train', 'Compare Forms']);
    const measured = workspaceFile(`${FOLDER}/measured.rankscope.json`);
    await vscode.workspace.fs.writeFile(
      measured,
      Buffer.from('{ "network": { "kind": "onnx", "model": "m.onnx" } }'),
    );
    assert.deepEqual(await titlesOfLenses(measured), ['Measure Utilized Rank']);
  });

  it('is watched live, stopped, resumed and seen done', async () => {
    const uri = await writeRecipe('long', 1500);
    await clickLens(uri, 'Train');
    const live = await stateOf('a run that gets further', uri, (state) => {
      const [run] = state.runs;
      return (run?.status.step ?? 0) >= 50 && (state.events.get(run?.folder ?? '') ?? 0) >= 3;
    });
    const { folder, status, record } = only(live);
    assert.equal(status.state, 'running');
    assert.equal(status.steps, 1500);
    assert.equal(record.form, 'sine');
    assert.ok(live.pageListens, 'the page is up');
    await vscode.commands.executeCommand('rankscope.stopRun', uri);
    const stopped = only(await stateOf('a stop', uri, isIn('stopped')));
    const reached = stopped.status.step ?? 0;
    assert.ok(reached >= 50 && reached < 1500, String(reached));
    assert.ok(stopped.files.checkpoint, 'a checkpoint is kept');
    assert.deepEqual(await titlesOfLenses(uri), ['Train', 'Compare Forms', 'Open Last Run']);
    await vscode.commands.executeCommand('rankscope.resumeRun', uri);
    const again = await stateOf('the same run going on', uri, isIn('running', 'done'));
    assert.equal(only(again).folder, folder);
    assert.equal(only(again).status.attempt, 2);
    const done = only(await stateOf('the end', uri, isIn('done')));
    assert.equal(done.status.step, 1500);
    assert.equal(done.status.metric, 'iou');
    assert.ok((done.status.value ?? 0) > 50, String(done.status.value));
    assert.ok(existsSync(path.join(folder, 'model.safetensors')));
    // Everything that the run told is in the panel: nothing twice, nothing left out.
    const lines = readFileSync(path.join(folder, 'metrics.jsonl'), 'utf8').trimEnd().split('\n').length;
    await stateOf('every event', uri, ({ events }) => events.get(folder) === lines);
  });

  it('goes on when the engine is killed, and is followed by the next one', async () => {
    const { enginePid } = await rankscope();
    const uri = await writeRecipe('killed', 1500);
    await vscode.commands.executeCommand('rankscope.train', uri);
    const before = only(await stateOf('a run', uri, ({ runs }) => (runs[0]?.status.step ?? 0) >= 50));
    process.kill(await eventually('a running engine', enginePid), 'SIGKILL');
    const after = await stateOf(
      'the run further on',
      uri,
      ({ runs, notices }) => notices.length > 0 && (runs[0]?.status.step ?? 0) > (before.status.step ?? 0),
    );
    assert.match(after.notices.join(), /SIGKILL.*the runs went on/);
    const done = only(await stateOf('the end', uri, isIn('done')));
    assert.equal(done.status.attempt, 1, 'nobody started it again');
    const file = path.join(done.folder, 'metrics.jsonl');
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n').length;
    await stateOf('every event, once', uri, ({ events }) => events.get(done.folder) === lines);
  });

  it('shows a run as a task, and ending the task stops the run with a checkpoint', async () => {
    const uri = await writeRecipe('task', 30_000);
    await vscode.commands.executeCommand('rankscope.train', uri);
    await stateOf('a run', uri, ({ runs }) => (runs[0]?.status.step ?? 0) >= 50);
    const execution = await eventually('its task', () => ourTasks()[0]);
    assert.equal(execution.task.source, 'Rankscope');
    execution.terminate();
    const stopped = only(await stateOf('a stop', uri, isIn('stopped')));
    assert.ok((stopped.status.step ?? 0) < 30_000);
    assert.ok(stopped.files.checkpoint);
  });

  it('is started by a task of tasks.json, which ends as the run does', async () => {
    const uri = await writeRecipe('again', 200);
    const offered = await vscode.tasks.fetchTasks({ type: 'rankscope' });
    const names = offered.map(({ name }) => name);
    assert.ok(names.includes('train again') && names.includes('compare forms of again'), names.join());
    const task = offered.find(({ name }) => name === 'train again');
    assert.ok(task);
    const ended = new Promise<number | undefined>((resolve) => {
      const listening = vscode.tasks.onDidEndTaskProcess(({ execution, exitCode }) => {
        if (execution.task.definition.recipe !== task.definition.recipe) return;
        listening.dispose();
        resolve(exitCode);
      });
    });
    await vscode.tasks.executeTask(task);
    assert.equal(await ended, 0);
    await vscode.commands.executeCommand('rankscope.openRuns', uri);
    const done = only(await stateOf('the run of the task', uri, isIn('done')));
    assert.equal(done.status.step, 200);
  });

  it('compares forms at the recipe’s rank on one chart', async () => {
    const uri = await writeRecipe('forms', 200);
    await clickLens(uri, 'Compare Forms');
    const { runs } = await stateOf(
      'three ends',
      uri,
      (state) => state.runs.length === 3 && isIn('done')(state),
    );
    assert.deepEqual(runs.map(({ record }) => record.form).sort(), ['dense', 'low-rank', 'sine']);
    assert.equal(new Set(runs.map(({ record }) => record.group)).size, 1);
    const totals = new Map(runs.map(({ record, status }) => [record.form, status.parameters?.total]));
    assert.equal(totals.get('sine'), totals.get('low-rank'), 'equal parameters');
    assert.ok((totals.get('dense') ?? 0) > (totals.get('sine') ?? 0));
  });
});
