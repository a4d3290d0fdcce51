/** `rankscope backends`, and how a backend is named to the other commands. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { BACKENDS_HELP } from '../../src/cli/help';
import { ROOT } from '../reference/references';

const CLI = path.join(ROOT, 'dist/cli.js');
const SAMPLE = path.join(ROOT, 'media/sample/sample.safetensors');
const cache = mkdtempSync(path.join(tmpdir(), 'rankscope-backends-'));
after(() => {
  rmSync(cache, { recursive: true, force: true });
});

function rankscope(argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, [CLI, ...argv], {
    encoding: 'utf8',
    env: { ...process.env, RANKSCOPE_CACHE: cache, LC_ALL: 'C.UTF-8', ...env },
  });
}

describe('backends', () => {
  test('tells of each whether it is usable, and which one auto takes; remembers it', () => {
    const { status, stdout, stderr } = rankscope(['backends']);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^wasm +usable: wasm \S+ \d+, \d+ threads?; always there$/m);
    for (const name of ['tensorflow', 'webgpu'])
      assert.match(stdout, new RegExp(`^${name} +(?:not )?usable: .+$`, 'm'));
    assert.match(stdout, /^auto uses \w+: .+$/m);
    assert.ok(readdirSync(path.join(cache, 'devices')).length >= 2);
    assert.deepEqual(rankscope(['backends']).stdout, stdout);
  });

  test('what is missing says what to do; a job asked to use it goes on without, and says so', () => {
    const env = { RANKSCOPE_TENSORFLOW: cache };
    const { stdout } = rankscope(['backends'], env);
    assert.match(stdout, /^tensorflow +not usable: .*tfjs-node.*$/m);
    const { status, stdout: table, stderr } = rankscope(['audit', SAMPLE, '--backend', 'tensorflow'], env);
    assert.equal(status, 0);
    assert.match(stderr, /^rankscope: tensorflow cannot be used: [^\n]*; the processor computes instead\n$/);
    assert.match(table, /Mean layer utilization 76\.6 %/);
  });

  test('has help of 80 columns, and takes no file', () => {
    assert.equal(rankscope(['backends', '--help']).stdout, BACKENDS_HELP);
    assert.ok(BACKENDS_HELP.split('\n').every((line) => line.length <= 80));
    const { status, stderr } = rankscope(['backends', SAMPLE]);
    assert.equal(status, 2);
    assert.match(stderr, /takes no file/);
  });

  test('RANKSCOPE_BACKEND stands in for --backend', () => {
    const { status, stderr } = rankscope(['audit', SAMPLE], { RANKSCOPE_BACKEND: 'abacus' });
    assert.equal(status, 1);
    assert.match(stderr, /^rankscope: unknown backend "abacus": choose wasm, tensorflow, webgpu or auto\n$/);
    assert.equal(rankscope(['audit', SAMPLE], { RANKSCOPE_BACKEND: 'wasm' }).status, 0);
  });
});
