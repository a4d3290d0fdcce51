// Lines of a play with who says them, as `label<TAB>text`: node speakers.mjs input.txt speakers.tsv [speakers]
// A speech is "Name:" on a line of its own, and the lines below it up to an empty one.
import { readFileSync, writeFileSync } from 'node:fs';

const [source, target, count = '4'] = process.argv.slice(2);
if (source === undefined || target === undefined) {
  console.error('usage: node speakers.mjs <play.txt> <lines.tsv> [number of speakers]');
  process.exit(2);
}

const lines = new Map();
for (const speech of readFileSync(source, 'utf8').split(/\n{2,}/)) {
  const [head = '', ...said] = speech.split('\n');
  const name = /^([A-Z][A-Za-z ]+):$/.exec(head)?.[1];
  if (name === undefined) continue;
  lines.set(name, [...(lines.get(name) ?? []), ...said.filter((line) => line.trim().length > 20)]);
}

const chosen = [...lines].sort(([, a], [, b]) => b.length - a.length).slice(0, Number(count));
// As many of each, so that guessing is worth 1 in the number of speakers.
const each = Math.min(...chosen.map(([, said]) => said.length));
const rows = chosen.flatMap(([name, said]) =>
  said.slice(0, each).map((line) => `${name}\t${line.replaceAll('\t', ' ')}`),
);
writeFileSync(target, `${rows.join('\n')}\n`);
console.log(`${chosen.map(([name]) => name).join(', ')}: ${each} lines each`);
