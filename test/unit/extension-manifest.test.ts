/** The manifest says what the code does, and says it in words that can be translated. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { BACKEND_NAMES } from '../../src/compute';
import { ROOT } from '../reference/references';

interface Manifest {
  readonly contributes: {
    readonly commands: readonly { readonly command: string }[];
    readonly menus: Readonly<Record<string, readonly { readonly command: string; readonly when?: string }[]>>;
    readonly customEditors: readonly { readonly viewType: string; readonly priority: string }[];
    readonly configuration: {
      readonly properties: Readonly<Record<string, { readonly enum?: readonly string[] }>>;
    };
  };
}

const text = readFileSync(path.join(ROOT, 'package.json'), 'utf8');
// The project's own manifest, read for the parts named above.
const { contributes } = JSON.parse(text) as Manifest;
const words = JSON.parse(readFileSync(path.join(ROOT, 'package.nls.json'), 'utf8')) as Record<string, string>;

const TITLES = ['title', 'displayName', 'description', 'markdownDescription', 'altText', 'enumDescriptions'];

/** Every text for people in the manifest's contributions, by the key it stands under. */
function textsForPeople(value: unknown, key = ''): string[] {
  if (typeof value === 'string') return TITLES.includes(key) ? [value] : [];
  if (Array.isArray(value)) return value.flatMap((item) => textsForPeople(item, key));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([inner, item]) => textsForPeople(item, inner));
}

describe('the manifest', () => {
  test('has every text for people in package.nls.json, and package.nls.json nothing else', () => {
    const keys = [...text.matchAll(/"%([^%"]+)%"/g)].map(([, key]) => key ?? '');
    assert.deepEqual([...new Set(keys)].sort(), Object.keys(words).sort());
    const untranslated = textsForPeople(contributes).filter((title) => !/^%.+%$/.test(title));
    assert.deepEqual(untranslated, ['Rankscope'], 'the product has one name in all languages');
  });

  test('has the texts of the code in the bundle for translators', () => {
    execFileSync(process.execPath, [path.join(ROOT, 'scripts/l10n.mjs'), '--check']);
  });

  test('offers the backends there are', () => {
    assert.deepEqual(contributes.configuration.properties['rankscope.backend']?.enum, [
      'auto',
      ...BACKEND_NAMES,
    ]);
  });

  test('shows no command that does nothing', () => {
    const hidden = contributes.menus.commandPalette?.filter(({ when }) => when === 'false');
    assert.deepEqual(
      hidden?.map(({ command }) => command),
      ['rankscope.compare'],
    );
  });

  test('names files that exist', () => {
    const files = [...text.matchAll(/"((?:\.\/)?(?:media|dist|l10n)\/[^"*]+)"/g)].map(
      ([, file]) => file ?? '',
    );
    assert.ok(files.length >= 5);
    for (const file of files) assert.ok(existsSync(path.join(ROOT, file)), file);
  });
});

/** The `when` clauses decide where Audit Ranks is offered: their pattern, as a regular expression. */
function offeredFor(): RegExp {
  const [item] = contributes.menus['explorer/context'] ?? [];
  const [, source] = /resourceFilename =~ \/(.+)\/i$/.exec(item?.when ?? '') ?? [];
  assert.ok(source !== undefined);
  return new RegExp(source, 'i');
}

describe('Audit Ranks', () => {
  test('is offered for checkpoints and sharded indexes', () => {
    for (const name of [
      'model.safetensors',
      'resnet20-12fca82f.th',
      'a.pth',
      'b.CKPT',
      'weights.npz',
      'pytorch_model.bin',
      'mnist_model.state_dict',
      'model.safetensors.index.json',
      'llama-7b.Q4_K_M.gguf',
      'silero_vad.onnx',
      'model.weights.h5',
      'mnist_cnn.keras',
      'pretrainedResnet.tflite',
      'variables.index',
      'saved_model.pb',
      'model.json',
    ])
      assert.match(name, offeredFor());
  });

  test('is not offered for what cannot be one', () => {
    for (const name of [
      'README.md',
      'package.json',
      'index.json.txt',
      'safetensors',
      'train.py',
      'x.pt.py',
      'my-model.json',
    ])
      assert.doesNotMatch(name, offeredFor());
  });
});
