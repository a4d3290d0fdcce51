import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

const PROGRAMS = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'chrome',
  'microsoft-edge',
];

const APPLICATIONS = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of a Chromium or Chrome: the one that CHROMIUM names, else the first on the PATH; undefined when there is none. */
export function findChromium() {
  const { CHROMIUM: chosen, PATH: search = '' } = process.env;
  if (chosen) {
    if (isExecutable(chosen)) return chosen;
    throw new Error(`CHROMIUM names ${chosen}, which cannot be run`);
  }
  const folders = search.split(path.delimiter).filter((folder) => folder !== '');
  const candidates = PROGRAMS.flatMap((program) => folders.map((folder) => path.join(folder, program)));
  return [...candidates, ...APPLICATIONS].find(isExecutable);
}

/** The one case in which installing needs no decision of the person at the machine: a Debian container, as root. */
function installOnDebian(say) {
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0) return;
  say('no Chromium here: apt-get install chromium …');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', 'chromium']]) {
    const { status, stderr } = spawnSync('apt-get', args, { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`apt-get ${args[0]} ended with ${status}: ${stderr.trim()}`);
  }
}

/**
 * Path of a Chromium, installed first where that can be done without asking.
 * @throws {Error} that says what to install, when there is none.
 */
export function requireChromium(say = console.log) {
  const found = findChromium();
  if (found !== undefined) return found;
  installOnDebian(say);
  const installed = findChromium();
  if (installed !== undefined) return installed;
  throw new Error(
    'no Chromium or Chrome found: install one (Debian and Ubuntu: sudo apt-get install chromium; Fedora: sudo dnf install ' +
      'chromium; macOS: brew install --cask google-chrome) or name its program in CHROMIUM',
  );
}
