// What a page says on its console: a test of the panel fails on any error that is not known to be the workbench's own.

const NOT_FOUND = /^Failed to load resource: the server responded with a status of 404 \(Not Found\)$/;
const LOGGED = /\/static\/out\/vs\/code\/browser\/workbench\/workbench\.js$/;

/**
 * Errors that this server's workbench writes with no extension installed at all, each by its text and by where it comes
 * from. Nothing that a webview or an extension says looks like these.
 */
const WORKBENCH_NOISE = [
  // The server is the one inside code-server: icons, update check and service worker belong to its front, not run here.
  { text: NOT_FOUND, url: /\/_static\/src\/browser\/media\/favicon(-dark-support)?\.(ico|svg)$/ },
  { text: NOT_FOUND, url: /\/update\/check$/ },
  { text: /^A bad HTTP response code \(404\) was received when fetching the script\.$/, url: /^$/ },
  { text: /^%c {2}ERR color: #f33 \[Service Worker\] registration TypeError: /, url: LOGGED },
  // The signing module of Microsoft's own builds.
  { text: NOT_FOUND, url: /\/static\/node_modules\/vsda\/rust\/web\/vsda(_bg\.wasm|\.js)$/ },
  // Old servers fetch ripgrep in an installation script that is not run; file search looks for it.
  {
    text: /^%c( {2}ERR|\[Extension Host\]) .*spawn \S+\/@vscode\/ripgrep\/bin\/rg ENOENT/,
    url: LOGGED,
  },
  // A reload cuts off what the workbench was just reading of its own settings.
  {
    text: /^%c {2}ERR color: #f33 \S+ Unable to read file '\S+\/\.vscode\/\w+\.json' \(Canceled: Canceled\)/,
    url: LOGGED,
  },
  // Sign-in for features that are switched off.
  {
    text: /^%c {2}ERR color: #f33 Error: Timed out waiting for authentication provider 'github' to register\./,
    url: LOGGED,
  },
  // A window that is loaded again while others still wait for the old one.
  {
    text: /^%c {2}ERR color: #f33 \[lifecycle\] Long running operations during shutdown are unsupported in the web /,
    url: LOGGED,
  },
  // Its own log, while the window's store is closed under it.
  {
    text: /^%c {2}ERR color: #f33 .*Unable to write file 'vscode-log:[^']*' \(Error: IndexedDB database 'vscode-web-db' is closed/,
    url: LOGGED,
  },
  { text: /^Timed out getting tasks from {2}typescript$/, url: LOGGED },
  // Extensions are given a moment before a file is saved; on a busy machine that is too short. Rankscope takes none.
  { text: /^%c {2}ERR color: #f33 Error: Aborted onWillSaveTextDocument-event after \d+ms/, url: LOGGED },
];

function isWorkbenchNoise({ text, url }) {
  return WORKBENCH_NOISE.some((known) => known.text.test(text) && known.url.test(url));
}

/** Gathers console errors, uncaught exceptions, violations of a Content-Security-Policy and requests to other hosts. */
export class ConsoleWatch {
  #problems = [];
  #noise = [];

  constructor(context) {
    context.on('console', (message) => {
      const entry = { text: message.text(), url: message.location().url };
      // A violation of a policy that only reports is a warning; it is a violation all the same.
      if (message.type() === 'error' || /Content Security Policy/i.test(entry.text)) this.#add(entry);
    });
    context.on('weberror', (error) => {
      const exception = error.error();
      this.#add({
        text: `uncaught: ${exception?.stack ?? String(exception)}`,
        url: error.page()?.url() ?? '',
      });
    });
    context.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      const local =
        hostname === '127.0.0.1' || hostname === 'localhost' || !/^(https?|wss?):$/.test(protocol);
      // Served by the webview's own service worker out of the server; never leaves this machine.
      const webviewResource =
        hostname.endsWith('.vscode-resource.vscode-cdn.net') || hostname.endsWith('.vscode-cdn.net');
      if (!local && !webviewResource) this.#add({ text: `request to ${request.url()}`, url: '' });
    });
  }

  #add(entry) {
    (isWorkbenchNoise(entry) ? this.#noise : this.#problems).push(entry);
  }

  /** Problems since the last call, as lines. */
  take() {
    return this.#problems.splice(0).map(({ text, url }) => (url === '' ? text : `${text}\n    at ${url}`));
  }
}
