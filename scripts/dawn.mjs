/** Dawn's native files in the package webgpu, by VS Code's names of platforms. */
import { copyFileSync, existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const FOLDERS = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-x64': 'darwin-universal',
  'darwin-arm64': 'darwin-universal',
  'win32-x64': 'win32-x64',
  'win32-arm64': 'win32-arm64',
};

export const DAWN_TARGETS = Object.keys(FOLDERS);

/** Copies it under the name that the program looks for, with the libraries that it loads from beside it, and licences. */
export function copyDawn(target, folder) {
  const home = path.dirname(createRequire(import.meta.url).resolve('webgpu/package.json'));
  const source = path.join(home, 'dist', FOLDERS[target] ?? target);
  if (!existsSync(path.join(source, 'dawn.node')))
    throw new Error(`the package webgpu has nothing for ${target}`);
  for (const name of readdirSync(source))
    copyFileSync(
      path.join(source, name),
      path.join(folder, name === 'dawn.node' ? `${target}.${name}` : name),
    );
  copyFileSync(path.join(home, 'LICENSE.md'), path.join(folder, 'LICENSE.md'));
}
