import type { PageKind } from '../../../webview/protocol';

/** What the page is made of, as the webview may address it. */
export interface PageParts {
  readonly kind: PageKind;
  readonly script: string;
  readonly style: string;
  /** Source expression of the webview's own resources. */
  readonly cspSource: string;
  /** Fresh for every page. */
  readonly nonce: string;
  /** Name of the file, for the page's title. */
  readonly title: string;
  /** URI of the file; the page keeps it in its state (see `KeptState`). */
  readonly resource: string;
  /** Language of the user interface, a BCP 47 tag. */
  readonly language: string;
}

/**
 * The page that webview/ fills. Its policy allows the extension's own script and style sheet and nothing else:
 * no inline script or style, no evaluation, no network; pictures made in the page itself for the export.
 */
export function pageHtml(parts: PageParts): string {
  const policy = [
    `default-src 'none'`,
    `script-src 'nonce-${parts.nonce}'`,
    `style-src ${parts.cspSource}`,
    `font-src ${parts.cspSource}`,
    `img-src ${parts.cspSource} data: blob:`,
  ].join('; ');
  return `<!DOCTYPE html>
<html lang="${attribute(parts.language)}">
  <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="${attribute(policy)}">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${attribute(parts.title)}</title>
    <link rel="stylesheet" href="${attribute(parts.style)}">
  </head>
  <body data-page="${parts.kind}" data-resource="${attribute(parts.resource)}">
    <script nonce="${attribute(parts.nonce)}" src="${attribute(parts.script)}"></script>
  </body>
</html>
`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

/** Text made safe between quotes and between tags. */
function attribute(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}
