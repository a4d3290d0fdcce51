import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConvert } from '../../src/cli/convertArguments';
import { UsageError } from '../../src/cli/flags';
import { CONVERT_HELP } from '../../src/cli/help';

/** The built program, as users have it; tests are bundled two folders below. */
const CLI = path.join(__dirname, '../../cli.js');

const scratch = mkdtempSync(path.join(tmpdir(), 'rankscope-convert-'));
after(() => {
  rmSync(scratch, { recursive: true, force: true });
});
const environment = { ...process.env, RANKSCOPE_CACHE: path.join(scratch, 'cache'), LC_ALL: 'C.UTF-8' };

function rankscope(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...argv], {
    cwd: scratch,
    env: environment,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  return { status, stdout, stderr };
}

/** A safetensors file of float32 matrices of noise. */
function writeModel(name: string, matrices: Readonly<Record<string, readonly [number, number]>>): string {
  const header: Record<string, object> = {};
  const parts: Buffer[] = [];
  let [offset, state] = [0, 1];
  for (const [key, shape] of Object.entries(matrices)) {
    const values = Float32Array.from({ length: shape[0] * shape[1] }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 31 - 1;
    });
    header[key] = { dtype: 'F32', shape, data_offsets: [offset, offset + values.byteLength] };
    parts.push(Buffer.from(values.buffer));
    offset += values.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = path.join(scratch, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, Buffer.concat([length, text, ...parts]));
  return file;
}

const parsed = (...argv: string[]) => {
  const options = parseConvert(argv);
  assert.notEqual(options, 'help');
  return options === 'help' ? undefined : options;
};

describe('arguments of rankscope convert', () => {
  it('choose ranks in one of several ways', () => {
    assert.deepEqual(parsed('m', '--rank', '9')?.ranks, { kind: 'rank', rank: 9 });
    assert.deepEqual(parsed('m', '--share', '15%')?.ranks, { kind: 'share', share: 0.15 });
    assert.deepEqual(parsed('m', '--share', '0.15')?.ranks, { kind: 'share', share: 0.15 });
    assert.deepEqual(parsed('m', '--compression', '30 %')?.ranks, { kind: 'compression', rate: 0.3 });
    assert.deepEqual(parsed('m', '--compression=.3')?.ranks, { kind: 'compression', rate: 0.3 });
    assert.deepEqual(parsed('m', '--error', '0.2')?.ranks, { kind: 'error', relativeError: 0.2 });
    const ranks = [
      { pattern: 'attn', rank: 8 },
      { pattern: 'a=b', rank: 2 },
    ];
    assert.deepEqual(parsed('m', '--rank', 'attn=8', '--rank', 'a=b=2')?.ranks, { kind: 'perLayer', ranks });
    assert.equal(parsed('m')?.ranks, undefined);
  });

  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /no file given/],
    [['a', 'b'], /one file at a time/],
    [['m', '--to', 'svg'], /--to "svg" is not known \(did you mean svd\?\): choose/],
    [['m', '--rank', '0'], /--rank "0" is not a whole number from 1/],
    [['m', '--rank', '2.5'], /--rank "2\.5" is not regex=k/],
    [['m', '--rank', '1', '--rank', '2'], /is not regex=k/],
    [['m', '--rank', '(=2'], /--rank is no regular expression/],
    [['m', '--rank', '2', '--share', '0.1'], /--rank and --share both choose ranks/],
    [['m', '--compression', '30'], /is not a share between 0 and 1.*did you mean 30%\?/],
    [['m', '--compression', '0'], /is not a share/],
    [['m', '--compression', '100%'], /is not a share/],
    [['m', '--error', 'x'], /--error "x" is not a share/],
    [['m', '--omega', '0'], /--omega "0" is not a number above 0/],
    [['m', '--gain', '-1'], /--gain/],
    [['m', '--seed', '-1'], /--seed/],
    [['m', '--json', ''], /--json needs a file name/],
    [['m', '--inputs', ''], /--inputs needs a recipe/],
    [['m', '--to', 'dense', '--inputs', 'r'], /--inputs says nothing with --to dense/],
    [['m', '--to', 'dense', '--rank', '3'], /--rank says nothing with --to dense/],
    [['m', '--rnk', '3'], /--rnk.*did you mean --rank/],
  ];
  for (const [argv, message] of wrong) {
    it(`are refused in one line: ${argv.join(' ') || '(none)'}`, () => {
      assert.throws(
        () => parseConvert(argv),
        (error) => {
          assert.ok(error instanceof UsageError);
          assert.match(error.message, message);
          return !error.message.includes('\n');
        },
      );
    });
  }

  it('are explained in 80 columns', () => {
    assert.equal(parseConvert(['--help']), 'help');
    for (const line of CONVERT_HELP.split('\n')) assert.ok(line.length <= 80, line);
  });
});

describe('rankscope convert', () => {
  it('prints a table, a summary and the files', () => {
    writeModel('table/m.safetensors', {
      'a.weight': [24, 20],
      'b.weight': [20, 24],
      'embed.weight': [30, 20],
    });
    const { status, stdout, stderr } = rankscope(
      'convert',
      'table/m.safetensors',
      '--to',
      'svd',
      '--rank',
      '3',
    );
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^table\/m\.safetensors · safetensors · .* · 1,560 parameters\n/);
    assert.match(stdout, /\na\.weight +linear +24×20 +3 +0\.\d{4} +132 +−73 % /);
    // 1560 − 2·480 + 2·132.
    assert.match(
      stdout,
      /Compression rate 55\.4 %: 864 of 1,560 parameters, with 2 layers as truncated SVD factors, k = 3\./,
    );
    assert.match(stdout, /FLOPs of the layers change by −45 %/);
    assert.match(stdout, /Left dense: 1 embedding\./);
    const folder = path.join(scratch, 'table');
    for (const name of ['m.svd-k3.safetensors', 'm.svd-k3.json', 'sine_lowrank.py']) {
      assert.ok(stdout.includes(`\n  ${path.join(folder, name)}\n`), stdout);
      assert.ok(existsSync(path.join(folder, name)));
    }
    assert.deepEqual(readdirSync(folder).length, 4);
  });

  it('says that sine saves storage, not FLOPs, and holds it against truncated SVD', () => {
    writeModel('sine/m.safetensors', { 'a.weight': [24, 20] });
    const { status, stdout, stderr } = rankscope('convert', 'sine/m.safetensors', '--rank', '2');
    assert.equal(status, 0, stderr);
    assert.match(stdout, /ERROR +SVD +RATIO/);
    assert.match(stdout, /It saves storage, not FLOPs/);
    assert.match(stdout, /Errors are [\d.]+ of truncated SVD's at the same k/);
  });

  it('writes the document alone to stdout, and the spectra only when they are asked for', () => {
    writeModel('json/m.safetensors', { 'a.weight': [24, 20] });
    const plain = rankscope('convert', 'json/m.safetensors', '--to', 'svd', '--json', '-');
    assert.equal(plain.status, 0, plain.stderr);
    const document: unknown = JSON.parse(plain.stdout);
    assert.ok(typeof document === 'object' && document !== null && 'schema' in document);
    assert.equal(document.schema, 'rankscope/conversion@1');
    // A share of 15 % is the default.
    assert.ok('ranks' in document);
    assert.deepEqual(document.ranks, { kind: 'share', share: 0.15 });
    assert.ok(!plain.stdout.includes('"spectra"'));
    const whole = rankscope(
      'convert',
      'json/m.safetensors',
      '--to',
      'svd',
      '--json',
      'json/d.json',
      '--spectra',
    );
    assert.equal(whole.status, 0, whole.stderr);
    assert.match(readFileSync(path.join(scratch, 'json/d.json'), 'utf8'), /"spectra"/);
  });

  it('makes a file of factors dense again', () => {
    const file = writeModel('dense/m.safetensors', { 'a.weight': [24, 20], 'b.bias': [5, 1] });
    assert.equal(rankscope('convert', file, '--to', 'svd', '--rank', '2').status, 0);
    const factors = path.join(scratch, 'dense/m.svd-k2.safetensors');
    const { status, stdout, stderr } = rankscope(
      'convert',
      factors,
      '--to',
      'dense',
      '--out',
      path.join(scratch, 'dense/out'),
    );
    assert.equal(status, 0, stderr);
    assert.match(stdout, /1 weight multiplied out; written\n {2}.*m\.svd-k2\.dense\.safetensors\n/);
    const also = rankscope('convert', factors, '--materialize');
    assert.equal(also.status, 0, also.stderr);
    const [one, two] = ['dense/out', 'dense'].map((folder) =>
      readFileSync(path.join(scratch, folder, 'm.svd-k2.dense.safetensors')),
    );
    assert.ok(one !== undefined && two !== undefined && one.equals(two));
    assert.deepEqual(rankscope('convert', file, '--to', 'dense').status, 1);
  });

  it('fails in one line, with nothing written', () => {
    const file = writeModel('fail/m.safetensors', { 'a.weight': [24, 20] });
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [[path.join(scratch, 'none.safetensors')], 1, /none\.safetensors: not found/],
      [[file, '--compression', '1%'], 1, /a compression rate of 1 % cannot be met: .* it is 9\.2 %/],
      [[file, '--rank', '19'], 1, /nothing to convert: no saving/],
      [[file, '--layers', 'zzz'], 1, /nothing to convert: not selected/],
      [[file, '--out', '/proc/nothing/here'], 1, /^rankscope: \/proc\/nothing\/here: /],
      [[file, '--backend', 'abacus'], 2, /--backend "abacus" is not known/],
      [[file, '--json', file], 2, /would overwrite the checkpoint/],
    ];
    for (const [argv, code, message] of cases) {
      const { status, stdout, stderr } = rankscope('convert', ...argv, '--to', 'svd');
      assert.equal(status, code, stderr);
      assert.match(stderr, message);
      assert.equal(stdout, '');
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
    }
    assert.deepEqual(readdirSync(path.join(scratch, 'fail')), ['m.safetensors']);
  });

  it(
    'killed halfway leaves no file, and the next run goes on with what was fitted',
    { timeout: 300_000 },
    async () => {
      const layers = Object.fromEntries(
        Array.from({ length: 12 }, (_, i) => [`fc${i}.weight`, [48, 40] as const]),
      );
      const file = writeModel('killed/m.safetensors', layers);
      const cache = path.join(scratch, 'killed-cache');
      const env = { ...environment, RANKSCOPE_CACHE: cache };
      const argv = [CLI, 'convert', file, '--rank', '6', '--threads', '1'];
      const child = spawn(process.execPath, argv, { env, stdio: 'ignore' });
      const fits = (): number => {
        const folder = path.join(cache, 'v1/fits');
        const names = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
        return names.filter((name) => /[0-9a-f]{64}$/.test(name)).length;
      };
      while (fits() < 3 && child.exitCode === null) await sleep(20);
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      assert.equal(child.signalCode, 'SIGKILL', 'it ended before it could be killed');
      const kept = fits();
      assert.ok(kept >= 3 && kept < 12, `${kept} fits`);
      assert.deepEqual(readdirSync(path.join(scratch, 'killed')), ['m.safetensors']);
      const { status, stdout, stderr } = spawnSync(process.execPath, argv, { env, encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      assert.match(stdout, new RegExp(`${kept} of 12 layers had been fitted before`));
      assert.equal(fits(), 12);
    },
  );

  it('cancelled ends with its code and leaves nothing', { timeout: 120_000 }, async () => {
    const file = writeModel('cancelled/m.safetensors', { 'a.weight': [1600, 1600] });
    const child = spawn(process.execPath, [CLI, 'convert', file, '--no-cache', '--rank', '40'], {
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    // A fit of this size takes many seconds.
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await sleep(1500);
    child.kill('SIGINT');
    assert.equal(await ended, 130, said);
    assert.match(said, /cancelled/);
    assert.deepEqual(readdirSync(path.join(scratch, 'cancelled')), ['m.safetensors']);
  });
});
