/** `rankscope utilize`: its arguments, and the built program on a small network, killed and resumed too. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeSafetensors, type TensorToWrite } from '../../src/checkpoint/write/safetensors';
import { parseCommand } from '../../src/cli/commands';
import { UsageError } from '../../src/cli/flags';
import { parseUtilize } from '../../src/cli/utilizeArguments';
import type { UtilizationDocument } from '../../src/engine/utilizationDocument';
import { plainHead } from './plainNetwork';

describe('arguments', () => {
  test('little is needed; what is not said, the recipe says', () => {
    assert.deepEqual(parseUtilize(['a.rankscope.json']), {
      input: 'a.rankscope.json',
      resume: false,
      spectra: false,
    });
  });

  test('every flag', () => {
    const flags =
      'm.onnx --data d.npz --mode independent --delta 0.5 --max-passes 40 --resume --decompose two.safetensors --layers fc --layers conv --python /bin/python3 --spectra --json - --backend wasm --threads 2 --fail-under 0.3';
    assert.deepEqual(parseUtilize(flags.split(' ')), {
      input: 'm.onnx',
      data: 'd.npz',
      mode: 'independent',
      delta: 0.5,
      maxPasses: 40,
      resume: true,
      decompose: 'two.safetensors',
      layers: /(?:fc)|(?:conv)/u,
      python: '/bin/python3',
      spectra: true,
      json: '-',
      backend: 'wasm',
      threads: 2,
      failUnder: 0.3,
    });
  });

  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /^no recipe or model given: try rankscope utilize --help$/],
    [['a', 'b'], /^one recipe or model at a time/],
    [['a', '--mode', 'cumulativ'], /--mode "cumulativ" is not known \(did you mean cumulative\?\)/],
    [['a', '--delta', 'x'], /^--delta "x" is not a number of percentage points/],
    [['a', '--delta', '-1'], /--delta/],
    [['a', '--energy', '0'], /^--energy "0" is not a share above 0/],
    [['a', '--energy', '99'], /^--energy "99" is not a share/],
    [['a', '--max-passes', '0'], /^--max-passes "0" is not a whole number from 1$/],
    [['a', '--fail-under', '2'], /^--fail-under "2" is not a number from 0 to 1$/],
    [['a', '--energy', '0.9', '--delta', '0.1'], /^--delta guides a search.*leave one out$/],
    [['a', '--energy', '0.9', '--max-passes', '9'], /^--max-passes guides a search/],
    [['a', '--mode', 'label-free', '--delta', '0.1'], /^--delta guides a search/],
    [
      ['a', '--mode', 'cumulative', '--energy', '0.9'],
      /^--energy is for --mode label-free, not for cumulative$/,
    ],
    [['a', '--decompose', ''], /^--decompose needs a file name$/],
    [['a', '--enrgy', '1'], /unknown option '--enrgy' \(did you mean --energy\?\)/],
  ];
  for (const [argv, message] of refused)
    test(`refused: ${argv.join(' ')}`, () => {
      assert.throws(
        () => parseUtilize(argv),
        (error) => error instanceof UsageError && message.test(error.message),
      );
    });

  test('its help fits a terminal and is listed', async () => {
    const printed = async (...argv: string[]): Promise<string> => {
      let text = '';
      const print = (more: string): void => {
        text += more;
      };
      await parseCommand(argv)({ print, complain: print, job: () => Promise.resolve(1) });
      return text;
    };
    const help = await printed('utilize', '--help');
    assert.ok(help.split('\n').every((line) => line.length <= 80));
    assert.match(help, /--max-passes/);
    assert.match(await printed('--help'), /^ {2}rankscope utilize <recipe\|model> /m);
  });
});

/** The built program, as users have it; tests are bundled two folders below. */
const CLI = path.join(__dirname, '../../cli.js');
const scratch = mkdtempSync(path.join(tmpdir(), 'rankscope-cli-utilize-'));
after(() => {
  rmSync(scratch, { recursive: true, force: true });
});

const environmentWith = (cache: string): NodeJS.ProcessEnv => ({
  ...process.env,
  RANKSCOPE_CACHE: path.join(scratch, cache),
  LC_ALL: 'C.UTF-8',
});

function rankscope(cache: string, ...argv: string[]) {
  const env = environmentWith(cache);
  const options = { cwd: scratch, env, encoding: 'utf8', maxBuffer: 1 << 26 } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'utilize', ...argv], options);
  return { status, stdout, stderr };
}

/** The same program with another command. */
function rankscopeConvert(...argv: string[]) {
  const options = { cwd: scratch, env: environmentWith('convert'), encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'convert', ...argv], options);
  return { status, stdout, stderr };
}

/** NumPy's format, version 1.0. */
function npy(values: Float32Array | Int32Array, shape: readonly number[]): Buffer {
  const type = values instanceof Float32Array ? '<f4' : '<i4';
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const header = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const size = Buffer.alloc(2);
  size.writeUInt16LE(header.length);
  return Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    size,
    Buffer.from(header),
    Buffer.from(values.buffer),
  ]);
}

/** Samples enough for an evaluation to take long enough to be killed in. */
const SAMPLES = 30_000;

before(async () => {
  const { weights, biases, inputs, labels, shapes } = plainHead(SAMPLES);
  const tensor = (name: string, shape: readonly number[], values: Float64Array): TensorToWrite => {
    const data = new Uint8Array(Float32Array.from(values).buffer);
    return { name, dtype: 'float32', shape, data };
  };
  await writeSafetensors(path.join(scratch, 'head.safetensors'), [
    tensor('fc1.weight', [shapes.hidden, shapes.inputs], weights[0]),
    tensor('fc1.bias', [shapes.hidden], biases[0]),
    tensor('fc2.weight', [shapes.classes, shapes.hidden], weights[1]),
    tensor('fc2.bias', [shapes.classes], biases[1]),
  ]);
  writeFileSync(path.join(scratch, 'x.npy'), npy(inputs, [SAMPLES, shapes.inputs]));
  writeFileSync(path.join(scratch, 'y.npy'), npy(labels, [SAMPLES]));
  const recipe = (validation: object, utilization = {}): string =>
    JSON.stringify({
      schema: 'rankscope/recipe@1',
      network: { kind: 'mlp', checkpoint: 'head.safetensors' },
      data: { gram: { path: 'x.npy', to: 500 }, validation, batchSize: 1000 },
      utilization,
    });
  writeFileSync(
    path.join(scratch, 'head.rankscope.json'),
    recipe({ path: 'x.npy', labels: 'y.npy' }, { delta: 0.5 }),
  );
  writeFileSync(
    path.join(scratch, 'free.rankscope.json'),
    recipe({ path: 'x.npy', labels: 'y.npy', to: 200 }, { mode: 'label-free', energy: 0.95 }),
  );
});

const timeless = (json: string): object => ({ ...(JSON.parse(json) as object), startedAt: '', seconds: 0 });

/** Lines of the only search's log in a cache. */
function logged(cache: string): string[] {
  const folder = path.join(scratch, cache);
  if (!existsSync(folder)) return [];
  const log = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) =>
    name.endsWith('.log'),
  );
  return log === undefined ? [] : readFileSync(path.join(folder, log), 'utf8').split('\n').slice(0, -1);
}

describe('the program', () => {
  test('a table and sentences; the document beside it; a search that keeps what δ allows', () => {
    const { status, stdout, stderr } = rankscope('first', 'head.rankscope.json', '--json', 'head.json');
    assert.deepEqual([status, stderr], [0, '']);
    // The file is the program's own.
    const document = JSON.parse(readFileSync(path.join(scratch, 'head.json'), 'utf8')) as UtilizationDocument;
    const { summary, layers } = document;
    assert.equal(document.delta, 0.5);
    assert.equal(document.checkpoint?.tensors, 4);
    assert.ok((summary.afterProjection ?? NaN) >= (summary.before ?? NaN) - 2);
    const lines = stdout.split('\n');
    assert.match(lines[0] ?? '', /^head\.rankscope\.json · .* · 2 layers · 2,132 parameters/);
    for (const { name, kS, kT, shape } of layers) {
      const row = lines.find((line) => line.startsWith(name)) ?? '';
      assert.ok(row.includes(`${kS}/${shape[1]}`) && row.includes(`${kT}/${shape[0]}`), row);
    }
    assert.match(
      stdout,
      /^Mean layer utilization .* % on this data over 2 layers; .* by the ranks of the weights alone\.$/m,
    );
    assert.match(
      stdout,
      /^Accuracy .* → .* with all projections applied; the search may cost 2 points at most\.$/m,
    );
    assert.match(
      stdout,
      /^Table 1: head \| accuracy .* \| MLU .* \| accuracy .* \| MLU .* \| parameters ×.* \| FLOPs ×.*$/m,
    );
  });

  test('--json - prints the document alone; the recipe chooses, flags choose over it', () => {
    const byRecipe = rankscope('free', 'free.rankscope.json', '--json', '-');
    assert.deepEqual([byRecipe.status, byRecipe.stderr], [0, '']);
    const document = JSON.parse(byRecipe.stdout) as UtilizationDocument;
    assert.deepEqual([document.mode, document.energy], ['label-free', { input: 0.95, output: 0.95 }]);
    assert.equal(
      document.layers.some((layer) => 'inputEnergies' in layer),
      false,
    );
    const flags = ['--energy', '0.8', '--spectra', '--layers', 'fc1'];
    const byFlags = JSON.parse(
      rankscope('free', 'free.rankscope.json', ...flags, '--json', '-').stdout,
    ) as UtilizationDocument;
    assert.deepEqual([byFlags.energy?.input, byFlags.layers.length], [0.8, 1]);
    assert.equal(byFlags.layers[0]?.inputEnergies?.length, 128);
  });

  test('killed between any two writes and resumed: the same document, and no evaluation made twice', async () => {
    const whole = rankscope('whole', 'head.rankscope.json', '--json', '-');
    const total = logged('whole').length;
    assert.ok(total > 10);
    for (const lines of [1, 4, 9]) {
      const cache = `killed-${lines}`;
      const child = spawn(process.execPath, [CLI, 'utilize', 'head.rankscope.json'], {
        cwd: scratch,
        env: environmentWith(cache),
        stdio: 'ignore',
      });
      const ended = new Promise<NodeJS.Signals | null>((resolve) => {
        child.on('exit', (_, signal) => {
          resolve(signal);
        });
      });
      while (child.exitCode === null && logged(cache).length < lines) await sleep(2);
      child.kill('SIGKILL');
      assert.equal(await ended, 'SIGKILL', 'killed before its end');
      const made = logged(cache).length;
      assert.ok(made < total);
      const resumed = rankscope(cache, 'head.rankscope.json', '--resume', '--json', '-');
      assert.deepEqual([resumed.status, resumed.stderr], [0, '']);
      assert.deepEqual(timeless(resumed.stdout), timeless(whole.stdout));
      const all = logged(cache).map((line) => (JSON.parse(line) as [string])[0]);
      assert.equal(all.length, total);
      assert.equal(new Set(all).size, total, 'every evaluation once');
    }
  });

  test('without --resume an earlier search is named; with it a finished one is there at once', () => {
    const again = rankscope('whole', 'head.rankscope.json', '--max-passes', '3');
    assert.equal(again.status, 0);
    assert.match(
      again.stderr,
      /^rankscope: an earlier search of the same made \d+ evaluations: --resume continues it$/m,
    );
    assert.match(again.stdout, /the budget ended before 2 layers were searched to the end/);
    const log = logged('whole').length;
    assert.equal(rankscope('whole', 'head.rankscope.json', '--resume').status, 0);
    assert.equal(logged('whole').length, log, 'nothing was evaluated');
  });

  test('--decompose writes a checkpoint that audits, and the ranks for LoRA', () => {
    const { status, stdout } = rankscope('free', 'free.rankscope.json', '--decompose', 'two.safetensors');
    assert.equal(status, 0);
    assert.match(stdout, /^Written with those layers as two: accuracy .* % as written\.$/m);
    assert.match(stdout, /Written\n {2}two\.safetensors\n {2}two\.rank_pattern\.json\n$/);
    const audit = spawnSync(process.execPath, [CLI, 'audit', 'two.safetensors', '--format', 'csv'], {
      cwd: scratch,
      env: environmentWith('free'),
      encoding: 'utf8',
    });
    assert.equal(audit.status, 0);
    assert.match(audit.stdout, /^two\.safetensors,fc1\.0\.weight,/m);
    assert.match(audit.stdout, /^two\.safetensors,fc1\.1\.weight,/m);
  });

  test('its recipes tell a conversion what inputs layers get', () => {
    const argv = ['head.safetensors', '--to', 'svd', '--rank', '2', '--json', '-'];
    const errors = (...more: string[]): number[] => {
      const { status, stdout, stderr } = rankscopeConvert(...argv, ...more);
      assert.equal(status, 0, stderr);
      // The program's own document.
      const { layers } = JSON.parse(stdout) as { layers: { relativeError: number }[] };
      return layers.map(({ relativeError }) => relativeError);
    };
    const [plain, weighted] = [errors(), errors('--inputs', 'free.rankscope.json')];
    assert.ok((weighted[0] ?? NaN) < (plain[0] ?? NaN), `${weighted[0]} and ${plain[0]}`);
    const wrong = rankscopeConvert(...argv, '--inputs', 'head.safetensors');
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /^rankscope: [^\n]*head\.safetensors[^\n]*\n$/);
  });

  test('the gate: 3 when the mean layer utilization is below it', () => {
    assert.equal(rankscope('free', 'free.rankscope.json', '--fail-under', '0.01').status, 0);
    const { status, stderr } = rankscope('free', 'free.rankscope.json', '--fail-under', '1');
    assert.equal(status, 3);
    assert.match(
      stderr,
      /^rankscope: free\.rankscope\.json: mean layer utilization is 0\.\d+, required is 1$/m,
    );
  });

  const wrong: readonly (readonly [
    what: string,
    argv: readonly string[],
    status: number,
    message: RegExp,
  ])[] = [
    ['no such recipe', ['none.rankscope.json'], 1, /none\.rankscope\.json/],
    [
      'a model without data',
      ['model.onnx'],
      1,
      /model\.onnx: a model alone has no data to run on: give it with --data/,
    ],
    [
      'a recipe with data',
      ['free.rankscope.json', '--data', 'x.npy'],
      1,
      /a recipe names its data itself: leave --data out/,
    ],
    [
      'an interpreter for a network without Python',
      ['head.rankscope.json', '--python', 'python3'],
      2,
      /--python says nothing for a network of kind mlp/,
    ],
    [
      'δ for a recipe that is label-free',
      ['free.rankscope.json', '--delta', '1'],
      1,
      /a tolerance δ says nothing in label-free mode/,
    ],
    [
      'the checkpoint as target',
      ['head.rankscope.json', '--decompose', 'head.safetensors'],
      2,
      /--decompose head\.safetensors would overwrite what is measured/,
    ],
    [
      'the recipe as target',
      ['head.rankscope.json', '--json', 'head.rankscope.json'],
      2,
      /--json head\.rankscope\.json would overwrite what is measured/,
    ],
    [
      'a target in no folder',
      ['head.rankscope.json', '--decompose', 'no/where.safetensors'],
      2,
      /its folder does not exist/,
    ],
    [
      'no layer of that name',
      ['free.rankscope.json', '--layers', 'attn'],
      1,
      /no layer's name matches attn: the first of 2 is fc1\.weight/,
    ],
  ];
  for (const [what, argv, code, message] of wrong)
    test(`refused in one line: ${what}`, () => {
      const { status, stdout, stderr } = rankscope('wrong', ...argv);
      assert.deepEqual([status, stdout], [code, '']);
      assert.match(stderr, message);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    });
});
