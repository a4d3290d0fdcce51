// Collects the texts that src/extension gives to vscode.l10n.t into l10n/bundle.l10n.json, the template of translations:
//   node scripts/l10n.mjs [--check]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const target = path.join(root, 'l10n/bundle.l10n.json');

/** Texts of all `vscode.l10n.t('…')` in a source file. @throws {Error} where the text is not a literal. */
function textsOf(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const texts = [];
  const visit = (node) => {
    if (ts.isCallExpression(node) && node.expression.getText() === 'vscode.l10n.t') {
      const [text] = node.arguments;
      if (text === undefined || !ts.isStringLiteralLike(text)) {
        const { line } = source.getLineAndCharacterOfPosition(node.pos);
        throw new Error(`${file}:${line + 1}: the text to translate must be a literal`);
      }
      texts.push(text.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return texts;
}

const files = readdirSync(path.join(root, 'src/extension'), { recursive: true })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => path.join(root, 'src/extension', name));
const texts = [...new Set(files.flatMap(textsOf))].sort();
const bundle = `${JSON.stringify(Object.fromEntries(texts.map((text) => [text, text])), null, 2)}\n`;
if (!process.argv.includes('--check')) writeFileSync(target, bundle);
else if (readFileSync(target, 'utf8') !== bundle) {
  console.error('l10n/bundle.l10n.json is out of date: node scripts/l10n.mjs');
  process.exitCode = 1;
}
