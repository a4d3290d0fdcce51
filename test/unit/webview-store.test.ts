import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NOTHING_YET, receive, restarting, withoutNotice, type AuditState } from '../../webview/model/audit';
import type { ToPanel } from '../../webview/protocol';
import { auditDocument } from './auditDocument';
import { layerFacts } from './panelLayers';

const CHECKPOINT = { path: '/m.pt', format: 'PyTorch', bytes: 10, tensors: 3, parameters: 7 };
const BACKEND = { name: 'wasm', build: 'simd', threads: 2 };

const opened = (...layerNames: string[]): ToPanel => ({
  type: 'opened',
  checkpoint: CHECKPOINT,
  layerNames,
  backend: BACKEND,
});
const layer = (index: number, name: string): ToPanel => ({
  type: 'layers',
  layers: [{ index, layer: { ...layerFacts({ name }), singularValues: Float64Array.of(2, 1) } }],
});
const after = (...messages: ToPanel[]): AuditState => messages.reduce(receive, NOTHING_YET);

describe('the state of the page', () => {
  it('knows names before numbers', () => {
    const { slots, finished, phase } = after(opened('a', 'b'));
    assert.deepEqual(slots, [{ name: 'a' }, { name: 'b' }]);
    assert.equal(finished, 0);
    assert.equal(phase.kind, 'running');
  });

  it('puts layers in their places as they finish, in any order, and keeps spectra as typed arrays', () => {
    const { slots, finished } = after(opened('a', 'b'), layer(1, 'b'));
    assert.equal(slots[0]?.layer, undefined);
    assert.deepEqual(slots[1]?.layer?.spectrum, Float64Array.of(2, 1));
    assert.ok(!('singularValues' in slots[1].layer.facts));
    assert.equal(finished, 1);
  });

  it('counts a layer once, however often it comes', () => {
    assert.equal(after(opened('a'), layer(0, 'a'), layer(0, 'a')).finished, 1);
  });

  it('ignores layers of another audit: a wrong index or a wrong name', () => {
    assert.equal(after(opened('a'), layer(0, 'z'), layer(5, 'a')).finished, 0);
  });

  it('leaves the state it was given as it was', () => {
    const before = after(opened('a'));
    receive(before, layer(0, 'a'));
    assert.equal(before.slots[0]?.layer, undefined);
  });

  it('replaces everything but the spectra when the document is there', () => {
    const facts = layerFacts({ name: 'b', rank: 1 });
    const document = { ...auditDocument([]), layers: [facts], seconds: 1.5 };
    const state = after(opened('a', 'b'), layer(0, 'a'), layer(1, 'b'), { type: 'done', document });
    assert.deepEqual(state.names, ['b']);
    assert.equal(state.slots[0]?.layer?.facts.rank, 1);
    assert.deepEqual(state.slots[0].layer.spectrum, Float64Array.of(2, 1));
    assert.deepEqual(state.phase, { kind: 'done', seconds: 1.5 });
    assert.equal(state.progress, undefined);
  });

  it('keeps what was computed when the audit fails or is cancelled', () => {
    const failed = after(opened('a', 'b'), layer(0, 'a'), { type: 'failed', message: 'torn' });
    assert.deepEqual(failed.phase, { kind: 'failed', message: 'torn' });
    assert.equal(failed.finished, 1);
    const cancelled = after(opened('a', 'b'), layer(0, 'a'), { type: 'cancelled' });
    assert.equal(cancelled.phase.kind, 'cancelled');
    assert.equal(cancelled.finished, 1);
  });

  it('starts afresh when the file is opened again', () => {
    const state = after(opened('a'), layer(0, 'a'), { type: 'failed', message: 'torn' }, opened('a'));
    assert.equal(state.finished, 0);
    assert.equal(state.phase.kind, 'running');
  });

  it('forgets the failure when asked to try again', () => {
    assert.equal(restarting(after({ type: 'failed', message: 'torn' })).phase.kind, 'waiting');
  });

  it('says a notice once, the newest last, three at most, until it is dismissed', () => {
    const notice = (message: string): ToPanel => ({ type: 'notice', message });
    const state = after(...['a', 'b', 'a', 'c', 'd'].map(notice));
    assert.deepEqual(state.notices, ['a', 'c', 'd']);
    assert.deepEqual(withoutNotice(state, 'c').notices, ['a', 'd']);
    assert.deepEqual(after(notice('a'), opened('x')).notices, ['a']);
  });
});
