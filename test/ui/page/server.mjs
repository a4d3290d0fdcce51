// Serves the built page as VS Code would: one HTML file under a strict policy, a theme, a stand-in for the host.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(here, '../../../dist');
const NONCE = 'dGhlIHBhZ2Ugb2YgdGhlIHRlc3Q';

const FILES = {
  '/webview.js': [path.join(dist, 'webview.js'), 'text/javascript'],
  '/webview.css': [path.join(dist, 'webview.css'), 'text/css'],
  '/host.js': [path.join(here, 'host.js'), 'text/javascript'],
  '/themes.css': [path.join(here, 'themes.css'), 'text/css'],
};

/** The policy that the extension sets, with this server's address in the place of VS Code's. */
function policy(origin) {
  return [
    `default-src 'none'`,
    `script-src 'nonce-${NONCE}'`,
    `style-src ${origin}`,
    `font-src ${origin}`,
    `img-src ${origin} data: blob:`,
  ].join('; ');
}

const page = (origin, theme, kind) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta http-equiv="Content-Security-Policy" content="${policy(origin)}" />
    <meta name="viewport" content="width=device-width" />
    <title>Rankscope</title>
    <link rel="stylesheet" href="/themes.css" />
    <link rel="stylesheet" href="/webview.css" />
  </head>
  <body class="${theme}" data-page="${kind}" data-resource="file:///models/synthetic.safetensors">
    <script nonce="${NONCE}" src="/host.js"></script>
    <script nonce="${NONCE}" src="/webview.js"></script>
  </body>
</html>
`;

/** @returns {Promise<{ origin: string, close: () => void }>} */
export async function servePage() {
  const server = createServer((request, response) => {
    void answer(request, response);
  });
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address();
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function answer(request, response) {
  const url = new URL(request.url, `http://${request.headers.host}`);
  if (url.pathname === '/') {
    response.setHeader('content-type', 'text/html');
    const wanted = url.searchParams;
    const asked = wanted.get('page');
    const kind = ['conversion', 'utilization', 'training'].includes(asked) ? asked : 'audit';
    response.end(page(url.origin, wanted.get('theme') ?? 'vscode-dark', kind));
    return;
  }
  const file = FILES[url.pathname];
  if (file === undefined) {
    response.statusCode = url.pathname === '/favicon.ico' ? 204 : 404;
    response.end();
    return;
  }
  response.setHeader('content-type', file[1]);
  response.end(await readFile(file[0]));
}
