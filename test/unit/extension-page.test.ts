import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pageHtml } from '../../src/extension/panel/html';

const parts = {
  kind: 'audit',
  script: 'https://host/webview.js',
  style: 'https://host/webview.css',
  cspSource: "'self' https://*.host",
  nonce: '0123456789abcdef',
  title: 'model.safetensors',
  resource: 'file:///models/model.safetensors',
  language: 'en',
} as const;

function policyOf(html: string): Map<string, string> {
  const [, policy] = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html) ?? [];
  assert.ok(policy !== undefined);
  return new Map(
    policy.split(';').map((directive) => {
      const [name = '', ...sources] = directive.trim().split(' ');
      return [name, sources.join(' ')];
    }),
  );
}

describe('the page', () => {
  test('may load the built script and style sheet, and nothing by default', () => {
    const policy = policyOf(pageHtml(parts));
    assert.equal(policy.get('default-src'), `'none'`);
    assert.equal(policy.get('script-src'), `'nonce-0123456789abcdef'`);
    assert.equal(policy.get('style-src'), parts.cspSource);
    for (const sources of policy.values()) assert.doesNotMatch(sources, /unsafe|\*(?!\.host)/);
    for (const missing of ['connect-src', 'frame-src', 'worker-src', 'object-src'])
      assert.equal(policy.has(missing), false, `${missing} falls back to none`);
  });

  test('has one script and no inline style or handler', () => {
    const html = pageHtml(parts);
    assert.deepEqual(html.match(/<script[^>]*>/g), [
      '<script nonce="0123456789abcdef" src="https://host/webview.js">',
    ]);
    assert.doesNotMatch(html, /<style|style=|\son\w+=/i);
  });

  test('names of files stay text', () => {
    const hostile = `"><script>alert(1)</script>&amp;<img src=x onerror='alert(1)'>`;
    const html = pageHtml({ ...parts, title: hostile, resource: hostile });
    assert.equal(html.match(/<script/g)?.length, 1);
    assert.equal(html.includes('<img'), false);
    assert.ok(html.includes('data-resource="&quot;&gt;&lt;script&gt;'));
    assert.ok(html.includes('&amp;amp;'), 'what looks escaped is escaped again');
  });
});
