// Stands in for VS Code around the page: its API for webviews, with what the page says kept for the test to read.
/* global window, document, sessionStorage, structuredClone */
'use strict';
(() => {
  const STATE = 'rankscope-test-state';
  const said = [];
  /**
   * @type {Record<string, object | ((message: object) => object | Promise<object>)>} replies, or what makes them, by the
   * message's type or the name of its call
   */
  const replies = {};
  window.pageHost = { said, replies, violations: [] };
  document.addEventListener('securitypolicyviolation', (event) => {
    window.pageHost.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
  });
  window.acquireVsCodeApi = () => ({
    postMessage(message) {
      // What cannot be cloned cannot be posted.
      const posted = structuredClone(message);
      said.push(posted);
      if (posted.request === undefined) return;
      const made = replies[posted.call ?? posted.type] ?? { ok: true };
      window.setTimeout(async () => {
        const reply = typeof made === 'function' ? await made(posted) : made;
        window.postMessage({ type: 'reply', request: posted.request, ...reply }, '*');
      });
    },
    getState() {
      const stored = sessionStorage.getItem(STATE);
      return stored === null ? undefined : JSON.parse(stored);
    },
    setState(state) {
      sessionStorage.setItem(STATE, JSON.stringify(state));
      return state;
    },
  });
})();
