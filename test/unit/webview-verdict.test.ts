/** What a panel says of a file's safety. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Finding, InspectionDocument, NamedGlobal } from '../../src/engine/inspectionDocument';
import { verdictShown } from '../../src/extension/panel/verdict';
import { NOTHING_YET, receive, restarting } from '../../webview/model/audit';
import { verdictLine } from '../../webview/model/verdict';

const harmless: NamedGlobal = {
  name: 'collections.OrderedDict',
  level: 'safe',
  reason: 'known to be harmless',
  called: true,
  count: 3,
  where: 'archive/data.pkl',
  offset: 12,
};
const harmful: NamedGlobal = { ...harmless, name: 'os.system', level: 'dangerous', reason: 'runs commands' };
const finding: Finding = { level: 'suspicious', kind: 'archive', message: 'two sizes', where: '' };

function inspected(given: Partial<InspectionDocument>): InspectionDocument {
  return {
    schema: 'rankscope/inspection@1',
    tool: { name: 'rankscope', version: '1' },
    checkpoint: { path: '/m.pt', format: 'PyTorch (zip)', bytes: 10 },
    startedAt: '',
    seconds: 0,
    verdict: 'safe',
    meaning: 'No code can come of it.',
    ...{ globals: [], findings: [], parts: 1, notes: [] },
    ...given,
  };
}

describe('the verdict of a panel', () => {
  it('says in words what colour only repeats', () => {
    const heads = (['safe', 'unknown', 'suspicious', 'dangerous'] as const).map(
      (verdict) => verdictLine(verdictShown(inspected({ verdict, findings: [finding] }))).head,
    );
    assert.equal(new Set(heads).size, 4);
    assert.ok(heads.every((head) => /load|suspicious/i.test(head)));
  });

  it('names what does harm, where it stands, and leaves the harmless out', () => {
    const document = inspected({ verdict: 'dangerous', globals: [harmful, harmless], findings: [finding] });
    const { head, reason, items } = verdictLine(verdictShown(document));
    assert.deepEqual([head, reason], ['Dangerous to load', 'names os.system']);
    assert.deepEqual(items, [
      {
        mark: 'dangerous',
        level: 'dangerous',
        text: 'os.system: runs commands (called)',
        place: 'archive/data.pkl, byte 12',
      },
      { mark: 'suspicious', level: 'suspicious', text: 'two sizes', place: '' },
    ]);
  });

  it('lists harmless names where there are no others', () => {
    const { reason, items } = verdictLine(verdictShown(inspected({ globals: [harmless] })));
    assert.equal(reason, 'names only what is known to be harmless');
    assert.deepEqual(
      items.map(({ mark, text }) => [mark, text]),
      [['harmless', 'collections.OrderedDict (called)']],
    );
  });

  it('sends a page no more than it can show, and says so', () => {
    const globals = Array.from({ length: 500 }, (_, i) => ({ ...harmful, name: `os.f${i}` }));
    const shown = verdictShown(inspected({ verdict: 'dangerous', globals, notes: ['a note'] }));
    assert.equal(shown.globals.length, 60);
    assert.deepEqual(verdictLine(shown).notes, ['a note', '440 more: rankscope inspect lists them all']);
    const long = verdictLine(
      verdictShown(inspected({ verdict: 'dangerous', globals: [{ ...harmful, name: 'x'.repeat(5000) }] })),
    );
    assert.ok((long.items[0]?.text.length ?? 0) < 250 && long.reason.length < 200);
  });

  it('outlives the audit: one that fails, one that starts again', () => {
    const verdict = verdictShown(inspected({ verdict: 'dangerous', globals: [harmful] }));
    const told = receive(NOTHING_YET, { type: 'verdict', verdict });
    assert.equal(told.verdict, verdict);
    assert.equal(receive(told, { type: 'failed', message: 'no' }).verdict, verdict);
    assert.equal(restarting(told).verdict, verdict);
    const opened = receive(told, {
      type: 'opened',
      checkpoint: { path: '/m.pt', format: 'PyTorch', bytes: 10, tensors: 3, parameters: 7 },
      layerNames: ['a'],
      backend: { name: 'wasm', build: 'simd', threads: 2 },
    });
    assert.equal(opened.verdict, verdict);
  });
});
