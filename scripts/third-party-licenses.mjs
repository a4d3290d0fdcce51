import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** `node_modules/@scope/name` or `node_modules/name`, innermost, of a bundled file; undefined for the project's own. */
function packageFolder(input) {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0];
}

function licenceText(folder) {
  const file = readdirSync(folder).find((name) => /^(?:licen[cs]e|copying)(?:\.|-|$)/i.test(name));
  return file === undefined ? undefined : readFileSync(path.join(folder, file), 'utf8').trim();
}

/** Of packages that name their licence but leave its text out. */
const COPYRIGHT_HOLDERS = {
  'onnxruntime-common': 'Microsoft Corporation',
  'onnxruntime-web': 'Microsoft Corporation',
};

function mitLicence(holder) {
  return `MIT License

Copyright (c) ${holder}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;
}

/**
 * Writes the licences of every package that esbuild bundled to one file: they ask to go with the code.
 * @throws {Error} for a package without one.
 */
export function writeThirdPartyLicenses(root, metafiles, target) {
  const inputs = metafiles.flatMap(({ inputs: files }) => Object.keys(files));
  const folders = [...new Set(inputs.map(packageFolder))].filter((folder) => folder !== undefined).sort();
  const sections = folders.map((folder) => {
    const absolute = path.join(root, folder);
    const manifest = path.join(absolute, 'package.json');
    const { name, version, license } = existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')) : {};
    const holder = license === 'MIT' ? COPYRIGHT_HOLDERS[name] : undefined;
    const text = licenceText(absolute) ?? (holder === undefined ? undefined : mitLicence(holder));
    if (text === undefined && license === undefined)
      throw new Error(`${folder} is bundled without a licence`);
    return `${name} ${version} (${license})\n\n${text ?? `Licence: ${license}`}\n`;
  });
  writeFileSync(
    target,
    ['Rankscope contains code of these packages.\n', ...sections].join(`\n${'-'.repeat(80)}\n\n`),
  );
}
