/** `rankscope inspect`: what it prints, writes and exits with. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020';
import schema from '../../media/schema/inspection.schema.json';
import { parseInspect } from '../../src/cli/inspectArguments';
import { INSPECT_HELP } from '../../src/cli/help';
import { renderInspection } from '../../src/cli/inspectTable';
import type { Finding, InspectionDocument, NamedGlobal } from '../../src/engine/inspectionDocument';
import { inspectionLine } from '../../src/engine/report/inspectionSummary';
import { UsageError } from '../../src/cli/flags';
import { temporaryFolder } from '../fixtures/handmade';

const CLI = path.join(__dirname, '../../cli.js');
const { folder, write } = temporaryFolder();
const validate = new Ajv2020({ strict: true }).compile(schema);

function rankscope(...argv: string[]) {
  const environment = { ...process.env, LC_ALL: 'C.UTF-8' };
  return spawnSync(process.execPath, [CLI, 'inspect', ...argv], {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
  });
}

write('evil.pkl', Buffer.from('\x80\x02cos\nsystem\n(X\x02\x00\x00\x00idtR.', 'latin1'));
write('plain.pkl', Buffer.from('\x80\x02N.', 'latin1'));
write('mine.pkl', Buffer.from('\x80\x02c__main__\nNet\n.', 'latin1'));
mkdirSync(path.join(folder, 'models/deep'), { recursive: true });
for (const [name, text] of [
  ['models/deep/hidden.txt', '\x80\x02cos\nsystem\n(X\x02\x00\x00\x00idtR.'],
  ['models/plain.pkl', '\x80\x02N.'],
  ['models/notes.txt', 'nothing here'],
  ['models/modeling.py', 'import os'],
] as const)
  writeFileSync(path.join(folder, name), Buffer.from(text, 'latin1'));

describe('rankscope inspect', () => {
  it('says what a file does, by name and place', () => {
    const { status, stdout, stderr } = rankscope('evil.pkl');
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^!! dangerous +Loading or running it can run commands/m);
    assert.match(stdout, /^!! dangerous +os\.system: runs commands.*\(called at byte 2\)$/m);
    assert.match(rankscope('plain.pkl').stdout, /^ok safe +No code can come of it/m);
  });

  it('is a gate', () => {
    assert.equal(rankscope('evil.pkl', '--fail-on', 'dangerous').status, 3);
    assert.equal(rankscope('mine.pkl', '--fail-on', 'dangerous').status, 0);
    assert.equal(rankscope('mine.pkl', '--fail-on', 'suspicious').status, 0);
    const { status, stderr } = rankscope('mine.pkl', 'plain.pkl', '--fail-on', 'unknown');
    assert.equal(status, 3);
    assert.equal(stderr, 'rankscope: mine.pkl: unknown: names __main__.Net\n');
    assert.equal(rankscope('plain.pkl', '--fail-on', 'unknown').status, 0);
  });

  it('writes documents that the schema describes', () => {
    const { stdout } = rankscope('evil.pkl', '--json', '-');
    const document: unknown = JSON.parse(stdout);
    assert.ok(validate(document), JSON.stringify(validate.errors));
    assert.equal(rankscope('evil.pkl', 'mine.pkl', '--json', 'out.json').status, 0);
    const several = JSON.parse(readFileSync(path.join(folder, 'out.json'), 'utf8')) as unknown[];
    assert.ok(several.length === 2 && several.every((one) => validate(one)));
    assert.match(
      rankscope('evil.pkl', '--json', 'evil.pkl').stderr,
      /would overwrite a file that is inspected/,
    );
  });

  it('looks through folders by content, not by name', () => {
    const { status, stdout, stderr } = rankscope('models');
    assert.equal(status, 0);
    assert.match(stdout, /^!! dangerous +models\/deep\/hidden\.txt: names os\.system$/m);
    assert.doesNotMatch(stdout, /notes\.txt/);
    assert.match(stderr, /1 Python file not looked at/);
  });

  it('fails in one line where there is nothing to read, and goes on', () => {
    const { status, stdout, stderr } = rankscope('missing.pt', 'plain.pkl');
    assert.equal(status, 1);
    assert.equal(stderr, 'rankscope: missing.pt: not found\n');
    assert.match(stdout, /plain\.pkl/);
  });

  it('has help of 80 columns', () => {
    assert.equal(rankscope('--help').stdout, INSPECT_HELP);
    assert.ok(INSPECT_HELP.split('\n').every((line) => line.length <= 80));
  });

  it('refuses what it does not know', () => {
    for (const argv of [
      [],
      ['a', '--fail-on', 'safe'],
      ['a', '--format', 'csv'],
      ['a', '--json', '-', '--format', 'table'],
    ])
      assert.throws(() => parseInspect(argv), UsageError);
  });

  it('fits a terminal, and shows no control characters', () => {
    const global = {
      name: 'a.\\u001b[31m',
      level: 'dangerous',
      reason: 'runs commands '.repeat(20),
      called: true,
      count: 1,
      where: 'x',
      offset: 2,
    };
    const document = { ...DOCUMENT, verdict: 'dangerous', globals: [global as NamedGlobal] } as const;
    const text = renderInspection(document, false, { width: 60, color: false, unicode: true });
    assert.ok(
      text.split('\n').every((line) => line.length <= 60),
      text,
    );
  });
});

const DOCUMENT: InspectionDocument = {
  schema: 'rankscope/inspection@1',
  tool: { name: 'rankscope', version: '1' },
  checkpoint: { path: 'a', format: 'x', bytes: 1 },
  startedAt: '',
  seconds: 0,
  verdict: 'safe',
  meaning: 'No code can come of it.',
  globals: [],
  findings: [],
  parts: 1,
  notes: [],
};

describe('the inspection schema', () => {
  /** All of them: the compiler refuses a record that leaves one out or makes one up. */
  const fieldsOf = <T>(fields: Record<keyof Required<T>, true>) => Object.keys(fields).sort();
  it('knows exactly the fields that documents have', () => {
    assert.deepEqual(Object.keys(schema.properties).sort(), Object.keys(DOCUMENT).sort());
    assert.deepEqual(
      Object.keys(schema.$defs.global.properties).sort(),
      fieldsOf<NamedGlobal>({
        name: true,
        level: true,
        reason: true,
        called: true,
        count: true,
        where: true,
        offset: true,
      }),
    );
    assert.deepEqual(
      Object.keys(schema.$defs.finding.properties).sort(),
      fieldsOf<Finding>({ level: true, kind: true, message: true, where: true, offset: true }),
    );
  });
});

describe('one line', () => {
  const global = (name: string): NamedGlobal => ({
    name,
    level: 'dangerous',
    reason: '',
    called: true,
    count: 1,
    where: '',
    offset: 0,
  });
  const finding: Finding = { level: 'suspicious', kind: 'archive', message: 'two sizes', where: '' };
  it('says what a verdict rests on', () => {
    assert.equal(inspectionLine(DOCUMENT), 'safe: holds no code');
    assert.equal(
      inspectionLine({
        verdict: 'dangerous',
        globals: ['a.b', 'c.d', 'e.f', 'g.h'].map(global),
        findings: [finding],
      }),
      'dangerous: names a.b, c.d, e.f and 1 more',
    );
    assert.equal(
      inspectionLine({ verdict: 'suspicious', globals: [], findings: [finding, finding] }),
      'suspicious: two sizes, and 1 further finding',
    );
  });
});
