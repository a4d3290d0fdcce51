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
    const text = licenceText(absolute);
    if (text === undefined && license === undefined)
      throw new Error(`${folder} is bundled without a licence`);
    return `${name} ${version} (${license})\n\n${text ?? `Licence: ${license}`}\n`;
  });
  writeFileSync(
    target,
    ['Rankscope contains code of these packages.\n', ...sections].join(`\n${'-'.repeat(80)}\n\n`),
  );
}
