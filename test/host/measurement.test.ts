/** The command and its panel in an extension host, with the real engine: recipes that need no Python. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import * as vscode from 'vscode';
import type { UtilizationDocument } from '../../src/engine/utilizationDocument';
import type { RankscopeTestApi } from '../../src/extension/extension';
import { checkpointBytes, closeAll, eventually, rankscope, workspaceFile } from './panels';

type State = NonNullable<ReturnType<RankscopeTestApi['utilizationState']>>;

/** A search on a busy machine. */
const SEARCH_MS = 120_000;

const RECIPE = 'glyphs/glyphs.rankscope.json';

/** Layers of a network whose search takes a while: each probe runs thousands of samples. */
const SLOW = { layers: 4, side: 192, samples: 3000 };

const write = (name: string, bytes: Uint8Array | string): Thenable<void> =>
  vscode.workspace.fs.writeFile(workspaceFile(name), typeof bytes === 'string' ? Buffer.from(bytes) : bytes);

async function stateOf(what: string, uri: vscode.Uri, is: (state: State) => boolean): Promise<State> {
  const { utilizationState } = await rankscope();
  return eventually(
    `${what} of ${uri.path}`,
    () => {
      const state = utilizationState(uri);
      assert.notEqual(state?.status, 'failed', state?.message);
      return state !== undefined && is(state) ? state : undefined;
    },
    SEARCH_MS,
  );
}

const done = (uri: vscode.Uri): Promise<State> =>
  stateOf('the end', uri, ({ status, pageListens }) => status === 'done' && pageListens);

describe('Measure Utilized Rank', function () {
  this.timeout(2 * SEARCH_MS);

  before(async () => {
    const { sample } = await rankscope();
    const folder = vscode.Uri.joinPath(sample, '..');
    for (const name of ['glyphs.npz', 'glyphs.rankscope.json', 'network/model.json', 'network/weights.bin'])
      await vscode.workspace.fs.copy(vscode.Uri.joinPath(folder, name), workspaceFile(`glyphs/${name}`), {
        overwrite: true,
      });
  });
  afterEach(closeAll);
  after(async () => {
    for (const folder of ['glyphs', 'slow'])
      await vscode.workspace.fs
        .delete(workspaceFile(folder), { recursive: true })
        .then(undefined, () => undefined);
  });

  it('measures a recipe, to the same numbers as the command line', async () => {
    const uri = workspaceFile(RECIPE);
    await vscode.commands.executeCommand('rankscope.utilize', uri);
    const { document, opened, finishedLayers, probes } = await done(uri);
    assert.ok(document && opened);
    assert.equal(finishedLayers, document.layers.length);
    assert.equal(opened.resumedProbes > 0 || probes === document.summary.passes, true);
    const byCommand = await commandLine(uri);
    assert.deepEqual(numbersOf(document), numbersOf(byCommand));
    // What the sample was made for: full by its weights, ten dimensions by what it does.
    const hidden = document.layers.find(({ name }) => name.startsWith('hidden'));
    assert.ok(hidden !== undefined && hidden.rank > 60 && hidden.utilizedRank < 20);
  });

  it('shows the kept result at once when it is asked for again', async () => {
    const uri = workspaceFile(RECIPE);
    await vscode.commands.executeCommand('rankscope.utilize', uri);
    const first = await done(uri);
    await closeAll();
    await eventually('a closed panel', () => isGone(uri));
    await vscode.commands.executeCommand('rankscope.utilize', uri);
    const { document, probes } = await done(uri);
    assert.equal(document?.startedAt, first.document?.startedAt);
    assert.equal(probes, first.document?.summary.passes);
  });

  it('tells when the recipe changes, and that the result is of the one before', async () => {
    const uri = workspaceFile(RECIPE);
    await vscode.commands.executeCommand('rankscope.utilize', uri);
    await done(uri);
    await vscode.workspace.fs.writeFile(uri, await vscode.workspace.fs.readFile(uri));
    const { notices } = await stateOf('a notice', uri, (state) => state.notices.length > 0);
    assert.match(notices.join(), /glyphs\.rankscope\.json changed on disk.*Measure Again/);
  });

  it('refuses a recipe that is wrong, in one line that names the field', async () => {
    const { utilizationState } = await rankscope();
    const recipe = { schema: 'rankscope/recipe@1', network: { kind: 'mlp', checkpoint: 7 } };
    await write('slow/wrong.rankscope.json', JSON.stringify(recipe));
    const uri = workspaceFile('slow/wrong.rankscope.json');
    await vscode.commands.executeCommand('rankscope.utilize', uri);
    const message = await eventually('a reason', () => utilizationState(uri)?.message);
    assert.match(message, /^[^\n]*wrong\.rankscope\.json[^\n]*network\.checkpoint[^\n]*$/);
  });

  it('goes on where a closed panel, and where a killed engine, left it', async () => {
    const { enginePid } = await rankscope();
    const uri = await slowRecipe();
    await vscode.commands.executeCommand('rankscope.utilize', uri);
    await stateOf('probes', uri, ({ status, probes }) => status === 'running' && probes >= 3);
    await closeAll();
    await eventually('a closed panel', () => isGone(uri));
    await vscode.commands.executeCommand('rankscope.utilize', uri);
    const { opened } = await stateOf('the same search', uri, ({ opened: again }) => again !== undefined);
    assert.ok(opened !== undefined && opened.resumedProbes >= 3);
    const known = opened.resumedProbes;
    await stateOf('more probes', uri, ({ probes, status }) => probes > known + 1 || status === 'done');
    process.kill(await eventually('a running engine', enginePid), 'SIGKILL');
    const { document, notices, opened: last } = await done(uri);
    assert.match(notices.join(), /SIGKILL/);
    assert.ok(last !== undefined && last.resumedProbes > known);
    assert.deepEqual(document && numbersOf(document), numbersOf(await commandLine(uri)));
  });

  const isGone = (uri: vscode.Uri): true | undefined => (tabs(uri).length === 0 ? true : undefined);
});

function tabs(uri: vscode.Uri): readonly vscode.Tab[] {
  const name = path.basename(uri.path).replace('.rankscope.json', '');
  return vscode.window.tabGroups.all.flatMap((group) =>
    group.tabs.filter(({ label }) => label.includes(name)),
  );
}

/** Everything that two measurements of the same must agree on. */
function numbersOf({ summary, layers, skipped, mode, delta }: UtilizationDocument): object {
  return { summary, layers, skipped, mode, delta };
}

/** The command-line program of this checkout, with a cache of its own: it knows nothing of the panel's search. */
async function commandLine(recipe: vscode.Uri): Promise<UtilizationDocument> {
  const { RANKSCOPE_CLI: cli } = process.env;
  assert.ok(cli, 'RANKSCOPE_CLI says where the program is');
  const cache = workspaceFile('slow/cache').fsPath;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [cli, 'utilize', recipe.fsPath, '--json', '-'],
    {
      env: { ...process.env, ELECTRON_RUN_AS_NODE: '1', RANKSCOPE_CACHE: cache },
      maxBuffer: 1 << 26,
    },
  );
  // The program's own document.
  return JSON.parse(stdout) as UtilizationDocument;
}

/** A perceptron with random weights on random data: its accuracy is chance, and its search long. */
async function slowRecipe(): Promise<vscode.Uri> {
  const { layers, side, samples } = SLOW;
  await write('slow/net.safetensors', checkpointBytes(layers, side));
  const inputs = new Float32Array(samples * side);
  let state = 7;
  for (let i = 0; i < inputs.length; i++) {
    state = (state * 48_271) % 2_147_483_647;
    inputs[i] = state / 2_147_483_647 - 0.5;
  }
  await write('slow/inputs.npy', npy('<f4', [samples, side], new Uint8Array(inputs.buffer)));
  await write(
    'slow/labels.npy',
    npy(
      '|u1',
      [samples],
      Uint8Array.from(inputs.slice(0, samples), (_, i) => i % 10),
    ),
  );
  const recipe = {
    schema: 'rankscope/recipe@1',
    network: { kind: 'mlp', checkpoint: 'net.safetensors' },
    data: { validation: { path: 'inputs.npy', labels: 'labels.npy' } },
    utilization: { mode: 'cumulative', delta: 0.1 },
  };
  await write('slow/net.rankscope.json', JSON.stringify(recipe));
  return workspaceFile('slow/net.rankscope.json');
}

/** NumPy's format, version 1.0. */
function npy(descr: string, shape: readonly number[], data: Uint8Array): Uint8Array {
  const of = shape.length === 1 ? `${shape.join()},` : shape.join(', ');
  const words = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${of}), }`;
  const header = `${words.padEnd(Math.ceil((words.length + 11) / 64) * 64 - 11)}\n`;
  const prefix = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length & 255, header.length >> 8]);
  return Buffer.concat([prefix, Buffer.from(header, 'latin1'), data]);
}
