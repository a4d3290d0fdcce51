import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

/** The built program, as users have it; tests are bundled two folders below. */
const CLI = path.join(__dirname, '../../cli.js');

const scratch = mkdtempSync(path.join(tmpdir(), 'rankscope-cli-'));
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

/** A safetensors file of float32 matrices: of these values, each matrix from the first, or of noise. */
function writeModel(
  name: string,
  matrices: Readonly<Record<string, readonly [number, number]>>,
  given: readonly number[] = [],
): void {
  const header: Record<string, object> = {};
  const parts: Buffer[] = [];
  let offset = 0;
  let state = 1;
  for (const [key, shape] of Object.entries(matrices)) {
    const values = Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return given[i] ?? state / 2 ** 31 - 1;
    });
    header[key] = { dtype: 'F32', shape, data_offsets: [offset, offset + values.byteLength] };
    parts.push(Buffer.from(values.buffer));
    offset += values.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path.join(scratch, name), Buffer.concat([length, text, ...parts]));
}

/** A document without what may differ between two audits. */
function timeless(json: string): unknown {
  return { ...(JSON.parse(json) as object), startedAt: '', seconds: 0 };
}

writeModel('a.safetensors', { 'fc1.weight': [20, 30], 'fc2.weight': [5, 20] });
writeModel('b.safetensors', { 'fc.weight': [8, 8] });
writeFileSync(path.join(scratch, 'broken.safetensors'), Buffer.alloc(64, 0xff));

describe('rankscope audit', () => {
  it('prints only the document for --json -, the same each time', () => {
    const first = rankscope('audit', 'a.safetensors', '--json', '-', '--no-cache');
    assert.deepEqual([first.status, first.stderr], [0, '']);
    const document = JSON.parse(first.stdout) as { layers: { name: string; rank: number }[] };
    assert.deepEqual(
      document.layers.map(({ name }) => name),
      ['fc1.weight', 'fc2.weight'],
    );
    const stored = rankscope('audit', 'a.safetensors', '--format', 'json');
    const fromCache = rankscope('audit', 'a.safetensors', '--format', 'json');
    assert.deepEqual(timeless(stored.stdout), timeless(first.stdout));
    assert.deepEqual(timeless(fromCache.stdout), timeless(first.stdout));
  });

  it('writes --json FILE in one piece and prints the table', () => {
    mkdirSync(path.join(scratch, 'out'));
    const { status, stdout } = rankscope('audit', 'a.safetensors', '--json', 'out/a.json');
    assert.equal(status, 0);
    assert.match(stdout, /^a\.safetensors · safetensors/);
    assert.deepEqual(readdirSync(path.join(scratch, 'out')), ['a.json']);
    const direct = rankscope('audit', 'a.safetensors', '--json', '-').stdout;
    assert.deepEqual(timeless(readFileSync(path.join(scratch, 'out/a.json'), 'utf8')), timeless(direct));
  });

  it('makes an array of several, and goes on after one that fails', () => {
    const { status, stdout, stderr } = rankscope('audit', 'b.safetensors', 'broken.safetensors', 'a.safetensors', '--json', '-'); // prettier-ignore
    assert.equal(status, 1);
    assert.match(stderr, /^rankscope: .*broken\.safetensors.*\n$/);
    const paths = (JSON.parse(stdout) as { checkpoint: { path: string } }[]).map((d) => d.checkpoint.path);
    assert.deepEqual(paths, ['b.safetensors', 'a.safetensors']);
  });

  it('takes a folder for the checkpoints in it', () => {
    mkdirSync(path.join(scratch, 'folder'));
    for (const name of ['a', 'b'])
      symlinkSync(`../${name}.safetensors`, path.join(scratch, `folder/${name}.safetensors`));
    const { status, stdout } = rankscope('audit', 'folder', '--format', 'csv');
    assert.equal(status, 0);
    assert.deepEqual(
      stdout.split('\n').map((line) => line.split(',').slice(0, 2).join(' ')),
      ['checkpoint layer', 'folder/a.safetensors fc1.weight', 'folder/a.safetensors fc2.weight', 'folder/b.safetensors fc.weight', ''], // prettier-ignore
    );
  });

  it('audits what it finds in a folder, and fails in one line for what it did not look at', () => {
    const deep = path.join('runs', 'a/b/c/d/e/f/g/h/i/j/k/l/m');
    mkdirSync(path.join(scratch, deep), { recursive: true });
    mkdirSync(path.join(scratch, 'runs/exp/version_0/checkpoints'), { recursive: true });
    writeModel('runs/exp/version_0/checkpoints/last.safetensors', { 'fc.weight': [4, 4] });
    const { status, stdout, stderr } = rankscope('audit', 'runs', '--format', 'csv');
    assert.equal(status, 1);
    assert.match(stdout, /^runs\/exp\/version_0\/checkpoints\/last\.safetensors,fc\.weight,/m);
    assert.equal(stderr, 'rankscope: runs: folders deeper than 12 were not looked at\n');
  });

  it('fails in one line where there is nothing to read', () => {
    for (const input of ['missing.pt', 'out']) {
      const { status, stdout, stderr } = rankscope('audit', input);
      assert.deepEqual([status, stdout], [1, '']);
      assert.match(stderr, new RegExp(`^rankscope: ${input}.*: .+\n$`));
    }
  });

  it('ends with 3 when the gate does not hold', () => {
    assert.equal(rankscope('audit', 'a.safetensors', '--fail-under', '0').status, 0);
    const nothing = rankscope('audit', 'a.safetensors', '--layers', 'nothing', '--fail-under', '0.5');
    assert.equal(nothing.status, 3);
    assert.equal(
      nothing.stderr,
      "rankscope: no layer's name matches --layers nothing\n" +
        'rankscope: a.safetensors: mean layer utilization does not exist, required is 0.5\n',
    );
    // Two rows, one twice the other: rank 1 of 2.
    writeModel('half.safetensors', { 'fc.weight': [2, 2] }, [1, 2, 2, 4]);
    const half = rankscope('audit', 'half.safetensors', '--fail-under', '0.51');
    assert.equal(half.status, 3);
    assert.equal(
      half.stderr,
      'rankscope: half.safetensors: mean layer utilization is 0.5, required is 0.51\n',
    );
    assert.equal(rankscope('audit', 'half.safetensors', '--fail-under', '0.5').status, 0);
  });

  it('never writes over a checkpoint, not through a link either', () => {
    const before = readFileSync(path.join(scratch, 'a.safetensors'));
    symlinkSync('a.safetensors', path.join(scratch, 'link.json'));
    for (const target of ['a.safetensors', 'link.json']) {
      const { status, stderr } = rankscope('audit', 'a.safetensors', '--json', target);
      assert.equal(status, 2);
      assert.match(stderr, /would overwrite a checkpoint/);
    }
    assert.deepEqual(readFileSync(path.join(scratch, 'a.safetensors')), before);
  });

  it('says before the work that a file cannot be written', () => {
    assert.match(
      rankscope('audit', 'a.safetensors', '--json', 'no/such/a.json').stderr,
      /folder does not exist/,
    );
    assert.match(rankscope('audit', 'a.safetensors', '--json', 'out').stderr, /it is a folder/);
  });

  it('writes to what is no regular file without replacing it', () => {
    const { status } = rankscope('audit', 'a.safetensors', '--json', '/dev/null');
    assert.equal(status, 0);
    assert.equal(readFileSync('/dev/null').length, 0);
  });

  it('takes several --layers for any of them', () => {
    const { stdout } = rankscope(
      'audit',
      'a.safetensors',
      '--layers',
      'fc1',
      '--layers',
      '^fc2',
      '--format',
      'csv',
    );
    assert.equal(stdout.trim().split('\n').length, 3);
  });

  it('says in one line that its output could not be written', () => {
    const command = `"${process.execPath}" "${CLI}" audit a.safetensors > /dev/full`;
    const { status, stderr } = spawnSync('sh', ['-c', command], {
      cwd: scratch,
      env: environment,
      encoding: 'utf8',
    });
    assert.deepEqual([status, stderr.split('\n').length], [1, 2]);
    assert.match(stderr, /^rankscope: cannot write the output: .*ENOSPC/);
  });

  it('is a program of its own for shells and npx', () => {
    assert.match(readFileSync(CLI, 'utf8'), /^#!\/usr\/bin\/env node\n/);
    assert.equal(statSync(CLI).mode & 0o111, 0o111);
  });

  it('does without a cache where none can be', () => {
    const env = { ...environment, RANKSCOPE_CACHE: '/proc/nothing/here' };
    const options = { cwd: scratch, env, encoding: 'utf8', timeout: 20_000 } as const;
    assert.equal(spawnSync(process.execPath, [CLI, 'audit', 'a.safetensors'], options).status, 0);
  });

  it('is quiet when its reader has seen enough', () => {
    const many = Object.fromEntries(
      Array.from({ length: 1500 }, (_, i) => [`l${i}.weight`, [2, 2] as const]),
    );
    writeModel('many.safetensors', many);
    const command = `"${process.execPath}" "${CLI}" audit many.safetensors --format csv | head -1`;
    const { stdout, stderr } = spawnSync('sh', ['-c', command], {
      cwd: scratch,
      env: environment,
      encoding: 'utf8',
    });
    assert.match(stdout, /^checkpoint,layer,.*\n$/);
    assert.equal(stderr, '');
  });
});

describe('cancelling', () => {
  // Seconds of work, so that the signal comes in the middle of it.
  const side = 2400;
  writeModel('big.safetensors', {
    'a.weight': [side, side],
    'b.weight': [side, side],
    'c.weight': [side, side],
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`${signal}: exit 130 within a second, nothing left behind, the cache usable`, async () => {
      const folder = path.join(scratch, signal);
      mkdirSync(folder);
      const child = spawn(process.execPath, [CLI, 'audit', 'big.safetensors', '--no-cache', '--json', `${signal}/out.json`], { cwd: scratch, env: environment }); // prettier-ignore
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      await sleep(400);
      assert.equal(child.exitCode, null, 'the audit ended before it could be cancelled');
      const sent = performance.now();
      child.kill(signal);
      const code = await new Promise((resolve) => child.on('close', resolve));
      assert.ok(performance.now() - sent < 1000, `${performance.now() - sent} ms`);
      assert.equal(code, 130);
      assert.equal(stderr, 'rankscope: cancelled\n');
      assert.deepEqual(readdirSync(folder), []);
      assert.equal(rankscope('audit', 'a.safetensors').status, 0);
    });
  }
});

describe('the rest of the command line', () => {
  it('helps on stdout', () => {
    for (const argv of [['--help'], ['audit', '--help'], ['cache', '--help']]) {
      const { status, stdout, stderr } = rankscope(...argv);
      assert.deepEqual([status, stderr], [0, '']);
      for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
      assert.match(stdout, /^rankscope/);
    }
  });
  it('tells its version', () => {
    const manifest = JSON.parse(
      readFileSync(path.join(__dirname, '../../../package.json'), 'utf8'),
    ) as object;
    assert.ok('version' in manifest && typeof manifest.version === 'string');
    assert.equal(rankscope('--version').stdout, `rankscope ${manifest.version}\n`);
  });
  it('refuses wrong usage with 2, in one line', () => {
    for (const argv of [[], ['audit'], ['audit', 'a.safetensors', '--nope'], ['bench']]) {
      const { status, stdout, stderr } = rankscope(...argv);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, /^rankscope: .*\n$/);
    }
  });
  it('shows and clears the cache', () => {
    assert.equal(rankscope('cache', 'path').stdout, `${environment.RANKSCOPE_CACHE}\n`);
    rankscope('audit', 'a.safetensors');
    assert.equal(rankscope('cache', 'clear').status, 0);
    assert.equal(rankscope('audit', 'a.safetensors').status, 0);
  });
});
