import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { parseFigures } from '../../src/cli/figuresArguments';
import { UsageError } from '../../src/cli/flags';

/** The built program, as users have it; tests are bundled two folders below. */
const CLI = path.join(__dirname, '../../cli.js');

const scratch = mkdtempSync(path.join(tmpdir(), 'rankscope-figures-'));
after(() => {
  rmSync(scratch, { recursive: true, force: true });
});

function rankscope(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'figures', ...argv], {
    cwd: scratch,
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

describe('the arguments of figures', () => {
  it('are all figures in all formats, here, unless told otherwise', () => {
    assert.deepEqual(parseFigures([]), {
      figures: [1, 2, 3],
      formats: ['svg', 'json', 'csv'],
      out: '.',
      seed: 0,
    });
    assert.deepEqual(
      parseFigures(['--figure', '3', '--format=csv', '--out', 'x/y', '--seed', '4294967295']),
      {
        figures: [3],
        formats: ['csv'],
        out: 'x/y',
        seed: 4294967295,
      },
    );
    assert.equal(parseFigures(['--help']), 'help');
  });

  it('are refused in one line that says what would do', () => {
    for (const [argv, message] of [
      [['--figure', '4'], /--figure "4" is not known.*choose 1, 2, 3, all/],
      [['--format', 'jsn'], /did you mean json\?/],
      [['--seed', '4294967296'], /--seed "4294967296" is not a whole number from 0 to 4294967295/],
      [['--seed', '-1'], /--seed/],
      [['--out', ''], /--out needs the name of a folder/],
      [['model.pt'], /reads no file/],
      [['--backend', 'cuda'], /--backend "cuda" is not known/],
    ] as const) {
      assert.throws(
        () => parseFigures(argv),
        (error) =>
          error instanceof UsageError && message.test(error.message) && !error.message.includes('\n'),
        argv.join(' '),
      );
    }
  });
});

describe('rankscope figures', () => {
  it('writes the files it names, in a folder that it makes', () => {
    const { status, stdout, stderr } = rankscope('--figure', '3', '--out', 'new/folder');
    assert.equal(status, 0, stderr);
    const names = ['figure3.svg', 'figure3.json', 'figure3-spectra.csv', 'figure3-ranks.csv'];
    assert.deepEqual(
      stdout.trimEnd().split('\n'),
      names.map((name) => path.join('new/folder', name)),
    );
    const folder = path.join(scratch, 'new/folder');
    assert.deepEqual(readdirSync(folder).sort(), [...names].sort());
    // Unknown until looked at: it is JSON.
    const document = JSON.parse(readFileSync(path.join(folder, 'figure3.json'), 'utf8')) as {
      schema: unknown;
    };
    assert.equal(document.schema, 'rankscope/figure@1');
    assert.equal(stderr, '');
  });

  it('writes the same picture again for the same seed', () => {
    const picture = (out: string, seed: string): string => {
      assert.equal(rankscope('--figure', '2', '--format', 'svg', '--out', out, '--seed', seed).status, 0);
      return readFileSync(path.join(scratch, out, 'figure2.svg'), 'utf8');
    };
    const first = picture('a', '5');
    assert.equal(picture('b', '5'), first);
    assert.notEqual(picture('a', '6'), first);
  });

  it('fails before the work where nothing can be written', () => {
    writeFileSync(path.join(scratch, 'occupied'), '');
    const { status, stderr } = rankscope('--out', 'occupied');
    assert.equal(status, 2);
    assert.match(stderr, /--out occupied: it is no folder and cannot be made \(EEXIST\)\n$/);
  });

  it('explains itself within 80 columns', () => {
    const { status, stdout } = rankscope('--help');
    assert.equal(status, 0);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
  });
});
