import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseAudit, type AuditArguments } from '../../src/cli/auditArguments';
import { parseCommand } from '../../src/cli/commands';
import { UsageError } from '../../src/cli/flags';

function auditOf(...argv: string[]): AuditArguments {
  const parsed = parseAudit(argv);
  assert.ok(parsed !== 'help');
  return parsed;
}

async function printed(...argv: string[]): Promise<string> {
  let text = '';
  const code = await parseCommand(argv)({
    print: (more) => {
      text += more;
    },
    complain: () => undefined,
    job: () => Promise.reject(new Error('nothing to do')),
  });
  assert.equal(code, 0);
  return text;
}

describe('rankscope audit', () => {
  it('prints a table in file order and uses the cache, unless told otherwise', () => {
    assert.deepEqual(auditOf('model.pt'), {
      inputs: ['model.pt'],
      format: 'table',
      spectra: false,
      sha256: false,
      sort: 'order',
      groups: [],
      cache: true,
    });
  });
  it('takes every flag', () => {
    const flags =
      '--json out.json --spectra --layers conv --backend wasm --threads 2 --fail-under 0.5 --format csv';
    assert.deepEqual(auditOf('a', ...flags.split(' '), '--sha256', '--no-cache', '--sort', 'name', 'b'), {
      inputs: ['a', 'b'],
      format: 'csv',
      json: 'out.json',
      spectra: true,
      sha256: true,
      sort: 'name',
      groups: [],
      layers: /conv/u,
      backend: 'wasm',
      threads: 2,
      cache: false,
      failUnder: 0.5,
    });
  });
  it('takes groups by pattern, an equals sign in the pattern too', () => {
    assert.deepEqual(auditOf('a', '--groups', 'conv2=32', '--groups', '(?=x)y=4').groups, [
      { pattern: /conv2/u, groups: 32 },
      { pattern: /(?=x)y/u, groups: 4 },
    ]);
  });
  it('means JSON on stdout by --json -', () => {
    assert.equal(auditOf('a', '--json', '-').format, 'json');
  });
  it('takes names that begin with a dash after --', () => {
    assert.deepEqual(auditOf('--', '-model.pt').inputs, ['-model.pt']);
  });
  it('takes patterns that only the older regular expressions allow', () => {
    assert.ok(auditOf('a', '--layers', 'a\\-b').layers?.test('a-b'));
  });
});

describe('help, version and cache', () => {
  it('are asked for in the usual ways', async () => {
    assert.match(await printed('--help'), /rankscope audit <file\|folder>\.\.\. +ranks/);
    assert.match(await printed('audit', '--help'), /--fail-under/);
    assert.equal(await printed('audit', 'x', '-h'), await printed('audit', '--help'));
    assert.match(await printed('cache', '--help'), /path +print the folder/);
    assert.match(await printed('--version'), /^rankscope \d/);
    assert.match(await printed('cache', 'path'), /^\S.*\n$/);
  });
});

describe('wrong usage is one line with a hint', () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [[], /no command given: try rankscope --help/],
    [['adit'], /unknown command "adit" \(did you mean audit\?\)/],
    [['audit'], /no file or folder given/],
    [['audit', 'x', '--spektra'], /unknown option '--spektra' \(did you mean --spectra\?\)/],
    [['audit', 'x', '--json'], /--json/],
    [['audit', 'x', '--json', ''], /--json needs a file name/],
    [['audit', 'x', '--json', '-', '--format', 'csv'], /both want stdout/],
    [['audit', 'x', '--format', 'yaml'], /choose table, json, csv, markdown/],
    [['audit', 'x', '--sort', 'size'], /choose order, name/],
    [['audit', 'x', '--layers', '('], /--layers is no regular expression: /],
    [['audit', 'x', '--groups', 'conv'], /is not regex=n/],
    [['audit', 'x', '--groups', 'conv=0'], /is not regex=n/],
    [['audit', 'x', '--groups', 'conv=1.5'], /is not regex=n/],
    [['audit', 'x', '--threads', '0'], /whole number from 1/],
    [['audit', 'x', '--threads', '1e2'], /whole number from 1/],
    [['audit', 'x', '--fail-under', '60'], /number from 0 to 1/],
    [['audit', 'x', '--fail-under', ''], /number from 0 to 1/],
    [['audit', 'x', '--backend', 'cuda'], /--backend "cuda" is not known: choose wasm/],
    [['audit', 'x', '--spectra=yes'], /--spectra/],
    [['cache', 'empty'], /one of path and clear/],
    [['cache', 'clear', 'now'], /one of path and clear/],
    [['\u001b[31m'], /unknown command "\\u001b\[31m"/],
  ];
  for (const [argv, expected] of cases) {
    it(`rankscope ${JSON.stringify(argv.join(' '))}`, () => {
      assert.throws(
        () => parseCommand(argv),
        (error) => {
          assert.ok(error instanceof UsageError);
          assert.match(error.message, expected);
          assert.doesNotMatch(error.message, /\n/);
          return true;
        },
      );
    });
  }
});
