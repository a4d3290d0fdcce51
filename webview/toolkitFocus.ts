/**
 * Stands in for `@microsoft/fast-web-utilities` under the toolkit (esbuild's `alias`). The original tries out whether
 * the browser knows `:focus-visible` with an inline style element, which the page's Content Security Policy refuses;
 * every browser that runs the page knows it.
 */
export * from '../node_modules/@microsoft/fast-web-utilities/dist/index.js';

export function canUseFocusVisible(): boolean {
  return true;
}
